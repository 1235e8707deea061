/** The policy of `bench:calls --traffic`: as many features as one route and one resilience policy can use at once. */
export const trafficPolicy = `kind: Service
name: echo
methods: [bench.Echo/Call, bench.Echo/Moved]
idempotent: [bench.Echo/Call, bench.Echo/Moved]
---
kind: Service
name: front
---
kind: Service
name: guest
---
kind: Authorization
name: front-calls
service: echo
allow:
  - from: [front]
    methods: [bench.Echo/Call, bench.Echo/Moved]
deny:
  - from: [guest]
---
kind: Route
name: echo
service: echo
rules:
  - match: { methods: ["bench.Echo/*"], headers: { x-beta: "1" } }
    split: [{ version: v2, weight: 100 }]
  - match: { methods: ["bench.Echo/*"], from: [front] }
    split: [{ version: v1, weight: 90 }, { version: v2, weight: 10 }]
    sticky: { header: traceparent }
    timeout: 60s
    rewrite: { method: bench.Echo/Moved }
    retry: { attempts: 3, on: [UNAVAILABLE], backoff: 25ms, perTryTimeout: 10s }
    headers: { request: { set: { x-canary: "1" }, remove: [x-internal] }, response: { add: { x-served-by: mesh } } }
---
kind: Resilience
name: echo
service: echo
balance: { policy: leastRequest }
locality: { label: zone, spillOver: true }
slowStart: 30s
outliers: { consecutiveFailures: 5, consecutiveTimeouts: 3, successRate: 50%, latency: 10s, baseEjection: 10s, maxEjected: 50% }
panicBelow: 30%
breaker: { connections: 100, calls: 10000, waiting: 1000, retries: 20% }
`;

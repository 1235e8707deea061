/**
 * What the mesh under test allows: front may call everything of checks.Echo and the probe, and so may whoever comes in by the
 * gateway; stranger nothing.
 */
export const services = `
kind: Service
name: echo
---
kind: Service
name: wild
---
kind: Service
name: front
---
kind: Service
name: stranger
---
kind: Service
name: interop
---
kind: Service
name: tight
---
kind: Service
name: many
${["echo", "wild", "interop", "tight", "many"].map(unchecked).join("")}`;

/** Upstreams that record or misbehave see what a check sends and nothing else: no health checks of the proxy's own. */
function unchecked(service: string): string {
  return `---\nkind: Resilience\nname: ${service}\nservice: ${service}\nhealth: { off: true }\n`;
}

const open = (service: string): string => `---
kind: Authorization
name: anybody-calls-${service}
service: ${service}
allow:
  - from: ["*"]
    methods: ["*"]
`;
const wildRule = ["wild", "interop", "tight", "many"].map(open).join("");

const probeRule = `---
kind: Authorization
name: front-probes-echo
service: echo
allow:
  - from: [front]
    methods: [checks.Probe/Unary]
`;

/** All clients of the checks have one address. */
const listener = (name: string, protocols: string, more = ""): string => `  - name: ${name}
    protocols: [${protocols}]
    expose:
      - { service: echo, methods: [checks.Probe/Unary, checks.Echo/Unary, checks.Echo/Wait, checks.Echo/Big] }
      - { service: wild, methods: [checks.Wild/*] }
      - { service: interop, methods: [grpc.testing.TestService/*] }
    callers: { anyone: true }
    limits: { connectionsPerAddress: 10000, handshakesPerAddress: 10000/s }${more}
`;

const outside = `---
kind: Gateway
name: public
listeners:
${listener("web", "grpc, grpc-web, connect")}${listener("plain", "grpc")}${listener("hosts", "grpc, grpc-web, connect", "\n    cors: { maxAge: 1h }")}---
kind: Authorization
name: outsiders-call-echo
service: echo
allow:
  - from: [gateway/public]
    methods: [checks.Probe/Unary, checks.Echo/Unary, checks.Echo/Wait, checks.Echo/Big]
`;

export const probeOnlyPolicy = `${services}${wildRule}${probeRule}${outside}`;

/** Serial numbers make policies differ that allow the same. */
export function policyNumber(serial: number): string {
  return `${probeOnlyPolicy}---
kind: Authorization
name: front-calls-echo
service: echo
allow:
  - from: [front]
    methods: [checks.Echo/Unary, checks.Echo/Wait, checks.Echo/Big${serial === 0 ? "" : `, checks.Echo/Serial${serial}`}]
`;
}

export const basePolicy = policyNumber(0);

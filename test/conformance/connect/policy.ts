/** The policy of the mesh that the suite calls: the reference server behind a proxy, exposed by two listeners. */

export const service = "conformance";
const methods = "connectrpc.conformance.v1.ConformanceService/*";
const query = "connectrpc.conformance.v1.ConformanceService/IdempotentUnary";

/**
 * All clients of the suite have one address. Messages over the suite's limit are refused by the application: its answers
 * have the request in them, and a listener's `messageKib` would bound those too.
 */
const listener = (name: string): string => `  - name: ${name}
    protocols: [grpc, grpc-web, connect]
    expose: [{ service: ${service}, methods: ["${methods}"] }]
    callers: { anyone: true }
    cors: { maxAge: 1h }
    limits: { connectionsPerAddress: 10000, handshakesPerAddress: 10000/s }
`;

export const policy = `kind: Service
name: ${service}
noSideEffects: [${query}]
---
kind: Gateway
name: public
listeners:
${listener("plain")}${listener("tls")}---
kind: Authorization
name: outsiders
service: ${service}
allow:
  - from: [gateway/public]
    methods: ["${methods}"]
`;

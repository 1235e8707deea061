/** Policies for the echo service of the end-to-end tests. */
export const services = `
kind: Service
name: echo
methods: [test.Echo/Unary, test.Echo/ServerStream, test.Echo/ClientStream, test.Echo/Bidi, test.Echo/Forbidden]
---
kind: Service
name: front
---
kind: Service
name: stranger
`;

export const frontMayCall = `${services}---
kind: Authorization
name: front-calls-echo
service: echo
allow:
  - from: [front]
    methods: [test.Echo/Unary, test.Echo/ServerStream, test.Echo/ClientStream, test.Echo/Bidi]
`;

/** Returns `frontMayCall` with all traffic split over the versions by weight. */
export function split(weights: Readonly<Record<string, number>>): string {
  const parts = Object.entries(weights).map(([version, weight]) => `{ version: ${version}, weight: ${weight} }`);
  return `${frontMayCall}---
kind: Route
name: echo
service: echo
rules:
  - split: [${parts.join(", ")}]
`;
}

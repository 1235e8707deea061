/** What the mesh under test allows: front may call everything of checks.Echo and the probe; stranger nothing. */
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

export const probeOnlyPolicy = `${services}${wildRule}${probeRule}`;

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

import type { PolicyFile } from "../../core/model.js";

const servicesPerFile = 500;

export const nameOf = (index: number): string => `service-${index}`;

/**
 * Returns the policy of `count` services with three callers each. `turns` says how often a service was changed: each
 * change opens another of its methods to its first caller.
 */
export function policyOf(count: number, turns: ReadonlyMap<number, number> = new Map()): PolicyFile[] {
  const files: PolicyFile[] = [];
  for (let first = 0; first < count; first += servicesPerFile) {
    const documents: string[] = [];
    for (let index = first; index < Math.min(count, first + servicesPerFile); index += 1)
      documents.push(serviceOf(index, count, turns.get(index) ?? 0));
    files.push({ name: `services-${first}.yaml`, content: documents.join("---\n") });
  }
  return files;
}

function serviceOf(index: number, count: number, turn: number): string {
  const callers = [...new Set([1, 7, 31].map((step) => nameOf((index + step) % count)))];
  const open = turn === 0 ? "" : `  - from: [${callers[0]}]\n    methods: [bench.Service${index}/Turn${turn}]\n`;
  const turned = turn === 0 ? "" : `, bench.Service${index}/Turn${turn}`;
  return `kind: Service
name: ${nameOf(index)}
methods: [bench.Service${index}/Read, bench.Service${index}/Write${turned}]
---
kind: Authorization
name: access-${index}
service: ${nameOf(index)}
allow:
  - from: [${callers.join(", ")}]
    methods: [bench.Service${index}/Read]
${open}`;
}

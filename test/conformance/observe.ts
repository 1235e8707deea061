/** Counters of the proxies that tell of refusals, faults and resets; those of good calls are left out. */
import type { MeshProxy } from "./mesh.js";

const telling = /refus|reset|fail|glitch|violation|reject|error|unknown|dropped|goaway|cancel/;

export async function countersOf(proxies: readonly MeshProxy[]): Promise<Map<string, number>> {
  const all = new Map<string, number>();
  for (const proxy of proxies) {
    for (const [name, value] of await proxy.metrics()) {
      const isCall = name.startsWith("ashlar_calls_total") && !name.includes('code="OK"');
      const tells = name.startsWith("ashlar_") && !name.startsWith("ashlar_calls_total") && telling.test(name);
      if ((isCall || tells) && !name.includes("refused_records")) all.set(`${proxy.name} ${name}`, value);
    }
  }
  return all;
}

export function grown(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  return [...after].filter(([name, value]) => value > (before.get(name) ?? 0)).map(([name]) => name);
}

/** What a call says of itself, for conditions of policy. */
import type { Label } from "../../core/model.js";

export function labelMap(labels: readonly Label[]): ReadonlyMap<string, string> {
  return new Map(labels.map(({ key, value }) => [key, value]));
}

/** An IP address in one form: IPv4 as IPv4 on a socket of both families too, and no zone. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "").replace(/%.*$/, "");
}

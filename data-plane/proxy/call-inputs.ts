/** The values of a call that conditions of policy can read. */
import type { Label } from "../../core/model.js";
import { parseLabels } from "../../core/wire/headers.js";

export function labelMap(labels: readonly Label[]): ReadonlyMap<string, string> {
  return new Map(labels.map(({ key, value }) => [key, value]));
}

/** An IP address in one form: IPv4 as IPv4 on a socket of both families too, and no zone. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "").replace(/%.*$/, "");
}

const textsKept = 1000;

/** The labels that peers say of themselves: few different texts, so each is read once. */
export class SourceLabels {
  readonly #known = new Map<string, ReadonlyMap<string, string>>();

  of(text: string): ReadonlyMap<string, string> {
    let labels = this.#known.get(text);
    if (labels === undefined) {
      if (this.#known.size >= textsKept) this.#known.clear();
      labels = parseLabels(text);
      this.#known.set(text, labels);
    }
    return labels;
  }
}

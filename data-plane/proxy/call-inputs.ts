/** The values of a call that a policy's conditions can read. */
import type { Label } from "../../core/model.js";
import { parseLabels } from "../../core/wire/headers.js";
import { networkOf } from "../../runtime/connection-gate.js";
import type { FieldBlock } from "../http2/field-block.js";
import { joinHeader } from "./request-head.js";

export function labelMap(labels: readonly Label[]): ReadonlyMap<string, string> {
  return new Map(labels.map(({ key, value }) => [key, value]));
}

/** Returns an IP address in one form: without a zone, and IPv4 even where a dual-stack socket reports it as IPv6. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "").replace(/%.*$/, "");
}

const textsKept = 1000;

/** Parses the labels that peers send about themselves. There are few different texts, so each is parsed once. */
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

/** The network of the outside client for whom a gateway makes a call, as the gateway says; "": it says nothing. */
export function clientNetworkOf(fields: FieldBlock): string {
  const [client = ""] = joinHeader(fields, "x-forwarded-for")?.split(",", 1) ?? [];
  return networkOf(client.trim());
}

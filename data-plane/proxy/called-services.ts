/** Finds the called service by the `:authority` that this proxy's application sends. */
import { isLabel } from "../../core/identity.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { ServiceTraffic } from "./service-traffic.js";

export interface CalledService {
  readonly name: string;
  /** The first header fields of a request to the service. */
  readonly first: readonly PreparedField[];
  /** Whether the first list of its endpoints has been read. */
  ready: boolean;
  /** The time at which the service was last noted as used. */
  usedMs: number;
  /** How calls to the service are spread over its instances. null: nothing has called the service yet. */
  traffic: ServiceTraffic | null;
}

const authoritiesMax = 1000;
const scheme = new PreparedField(":scheme", "https");

export class CalledServices {
  readonly #mesh: string;
  readonly #only: string | undefined;
  readonly #known = new Map<string, CalledService | undefined>();

  /** `only`: the service that every call goes to. undefined: `:authority` names the service. */
  constructor(mesh: string, only: string | undefined) {
    this.#mesh = mesh;
    this.#only = only;
  }

  /** Returns undefined if the authority names no service of this mesh. */
  by(authority: string): CalledService | undefined {
    const known = this.#known.get(authority);
    if (known !== undefined || this.#known.has(authority)) return known;
    if (this.#known.size >= authoritiesMax) this.#known.clear();
    const name = this.#only ?? serviceOf(authority, this.#mesh);
    const first = [scheme, new PreparedField(":authority", name ?? "")];
    const called =
      name === undefined ? undefined : { name, first, ready: false, usedMs: Number.NEGATIVE_INFINITY, traffic: null };
    this.#known.set(authority, called);
    return called;
  }
}

/**
 * Returns "payments" for "payments", "payments:80", "payments.MESH" and "payments.MESH:80", or undefined if the
 * authority names no service of this mesh.
 */
export function serviceOf(authority: string, mesh: string): string | undefined {
  const host = authority.replace(/:\d{1,5}$/, "");
  const name = host.endsWith(`.${mesh}`) ? host.slice(0, -mesh.length - 1) : host;
  return isLabel(name) ? name : undefined;
}

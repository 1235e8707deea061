/** Counts calls since the last switch by method and caller, for as many as a heartbeat has room for. */
import { isLabel, type SpiffeId } from "../../core/identity.js";
import { type MethodCounts, methodsToldMax, methodToldMax, otherCaller, tookBoundsMs } from "../../core/model.js";
import { isMethod } from "../../core/snapshot/grammar.js";

/** The caller. "" stands for outbound calls. */
type By = SpiffeId | "";

class OneMethod {
  readonly by: By;
  readonly service: string;
  readonly method: string;
  calls = 0;
  refused = 0;
  failed = 0;
  readonly took = new Float64Array(tookBoundsMs.length + 1);

  constructor(by: By, service: string, method: string) {
    this.by = by;
    this.service = service;
    this.method = method;
  }
}

/**
 * Counts methods. Callers can invent methods, so a new method replaces the one with the fewest calls. Methods with many
 * calls are kept.
 */
export class MethodWindow {
  /** The counts: inbound calls by caller, outbound calls by service, and each of them by method. */
  readonly #inbound = new Map<string, Map<string, OneMethod>>();
  readonly #outbound = new Map<string, Map<string, OneMethod>>();
  readonly #all: OneMethod[] = [];

  /**
   * Counts a call. It is on the hot path, so nothing is allocated for a known method. `place`: the index into
   * `tookBoundsMs`; -1: the call was refused.
   */
  count(by: By, service: string, method: string, refused: boolean, failed: boolean, place: number): void {
    const known = by === "" ? this.#outbound.get(service)?.get(method) : this.#inbound.get(by)?.get(method);
    const one = known ?? this.#add(by, service, method);
    if (one === undefined) return;
    one.calls++;
    if (refused) one.refused++;
    if (failed) one.failed++;
    if (place >= 0) one.took[place] = (one.took[place] as number) + 1;
  }

  /** Returns the counts, the methods with the most calls first. */
  read(): readonly MethodCounts[] {
    const sorted = [...this.#all].sort((a, b) => b.calls - a.calls);
    return sorted.map(({ by, service, method, calls, refused, failed, took }) => ({
      outbound: by === "",
      service,
      method,
      calls,
      refused,
      failed,
      ...(by !== "" && { caller: nameOf(by) }),
      took: calls > refused ? [...took] : [],
    }));
  }

  #add(by: By, service: string, method: string): OneMethod | undefined {
    if (method.length > methodToldMax || !isMethod(method) || !isLabel(service)) return undefined;
    if (this.#all.length >= methodsToldMax) this.#dropRarest();
    const one = new OneMethod(by, service, method);
    this.#all.push(one);
    const [map, key] = this.#placeOf(one);
    const methods = map.get(key);
    if (methods === undefined) map.set(key, new Map([[method, one]]));
    else methods.set(method, one);
    return one;
  }

  #placeOf({ by, service }: OneMethod): readonly [Map<string, Map<string, OneMethod>>, string] {
    return by === "" ? [this.#outbound, service] : [this.#inbound, by];
  }

  #dropRarest(): void {
    let rarest = 0;
    for (let place = 1; place < this.#all.length; place++)
      if ((this.#all[place] as OneMethod).calls < (this.#all[rarest] as OneMethod).calls) rarest = place;
    const [gone] = this.#all.splice(rarest, 1);
    if (gone === undefined) return;
    const [map, key] = this.#placeOf(gone);
    const methods = map.get(key);
    methods?.delete(gone.method);
    if (methods?.size === 0) map.delete(key);
  }
}

/** Returns a caller's name without the mesh. Peers belong to this mesh, since no other mesh's roots are trusted. */
function nameOf(caller: SpiffeId): string {
  const name = /^spiffe:\/\/[^/]+\/service\/([^/]+)$/.exec(caller)?.[1];
  return name !== undefined && isLabel(name) ? name : otherCaller;
}

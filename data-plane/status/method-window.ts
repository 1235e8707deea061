/** Counts calls since the last switch by method, for as many methods as a heartbeat has room for. */
import { isLabel } from "../../core/identity.js";
import { type MethodCounts, methodsToldMax, methodToldMax, tookBoundsMs } from "../../core/model.js";
import { isMethod } from "../../core/snapshot/grammar.js";

class OneMethod {
  readonly outbound: boolean;
  readonly service: string;
  readonly method: string;
  calls = 0;
  refused = 0;
  failed = 0;
  readonly took = new Float64Array(tookBoundsMs.length + 1);

  constructor(outbound: boolean, service: string, method: string) {
    this.outbound = outbound;
    this.service = service;
    this.method = method;
  }
}

/**
 * Callers can invent methods, so a new method replaces the one with the fewest calls. Methods with many calls are kept.
 */
export class MethodWindow {
  readonly #inbound = new Map<string, OneMethod>();
  /** Counts by service. */
  readonly #outbound = new Map<string, Map<string, OneMethod>>();
  readonly #all: OneMethod[] = [];

  /** On the hot path: nothing is made for a method that is known. `place`: of `tookBoundsMs`; -1: it was refused. */
  count(outbound: boolean, service: string, method: string, refused: boolean, failed: boolean, place: number): void {
    const known = outbound ? this.#outbound.get(service)?.get(method) : this.#inbound.get(method);
    const one = known ?? this.#add(outbound, service, method);
    if (one === undefined) return;
    one.calls++;
    if (refused) one.refused++;
    if (failed) one.failed++;
    if (place >= 0) one.took[place] = (one.took[place] as number) + 1;
  }

  /** Methods with the most calls come first. */
  read(): readonly MethodCounts[] {
    const sorted = [...this.#all].sort((a, b) => b.calls - a.calls);
    return sorted.map(({ outbound, service, method, calls, refused, failed, took }) => ({
      ...{ outbound, service, method, calls, refused, failed },
      took: calls > refused ? [...took] : [],
    }));
  }

  #add(outbound: boolean, service: string, method: string): OneMethod | undefined {
    if (method.length > methodToldMax || !isMethod(method) || !isLabel(service)) return undefined;
    if (this.#all.length >= methodsToldMax) this.#dropRarest();
    const one = new OneMethod(outbound, service, method);
    this.#all.push(one);
    if (!outbound) this.#inbound.set(method, one);
    else {
      const methods = this.#outbound.get(service);
      if (methods === undefined) this.#outbound.set(service, new Map([[method, one]]));
      else methods.set(method, one);
    }
    return one;
  }

  #dropRarest(): void {
    let rarest = 0;
    for (let place = 1; place < this.#all.length; place++)
      if ((this.#all[place] as OneMethod).calls < (this.#all[rarest] as OneMethod).calls) rarest = place;
    const [gone] = this.#all.splice(rarest, 1);
    if (gone === undefined) return;
    if (!gone.outbound) this.#inbound.delete(gone.method);
    else {
      const methods = this.#outbound.get(gone.service);
      methods?.delete(gone.method);
      if (methods?.size === 0) this.#outbound.delete(gone.service);
    }
  }
}

/** Counts calls by caller and called method, in plain numbers. A call of a known kind allocates nothing. */
import { status } from "@grpc/grpc-js";
import { methodToldMax } from "../../core/model.js";
import { type AnswerReason, answerReasons } from "../proxy/answer.js";
import type { Direction, EndedCall } from "../proxy/proxy-metrics.js";
import { CallKind, type Exemplar, numberPlaces as place, tookBucket } from "./call-kind.js";

/** The most kinds of calls that are told apart in each direction; all others count as one kind, `other`. */
export const kindsMax = 400;
/** The most services and methods that earn a label of their own in each direction. */
const namesMax = 500;
/** A kind that had no calls for this time may be removed to make room for a new one, in milliseconds. */
const idleMs = 3_600_000;
/** How often a full table is searched for idle kinds, in milliseconds. */
const lookEveryMs = 60_000;
const other = "other";

const reasonPlaces: Readonly<Record<AnswerReason, number>> = Object.fromEntries(
  answerReasons.map((reason, index) => [reason, place.refused + index]),
) as Record<AnswerReason, number>;

/** The reasons of the proxy's own answers that show that the called service exists. */
const knowsService: ReadonlySet<AnswerReason | undefined> = new Set([
  ...(["no-endpoint", "unreachable", "breaker", "fault", "stale", "reset", "broken"] as const),
  undefined,
]);

/** The calls of one direction. */
class Side {
  readonly direction: Direction;
  open = 0;
  /** The number of calls that were counted as `other` because there were too many kinds. */
  folded = 0;
  readonly rest: CallKind;
  /**
   * The kinds: inbound calls by caller, outbound calls by service, and each of them by method. Kinds that share both
   * are linked.
   */
  readonly #kinds = new Map<string, Map<string, CallKind>>();
  /** The services, each with the methods that earned a label. */
  readonly #names = new Map<string, Set<string>>();
  #named = 0;
  #size = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(direction: Direction) {
    this.direction = direction;
    this.rest = new CallKind({ direction, by: other, caller: other, service: other, method: other, version: "" });
  }

  find(by: string, service: string, method: string, version: string): CallKind | undefined {
    const methods = this.#kinds.get(this.direction === "inbound" ? by : service);
    let kind = methods?.get(method);
    while (kind !== undefined && !kind.is(by, service, version)) kind = kind.next;
    return kind;
  }

  /**
   * Returns the kind of a call that `find` did not find. Services and methods become labels only if an answer showed
   * that they exist.
   */
  findOrAdd({ caller, service, method, version, code, reason }: EndedCall, nowMs: number): CallKind {
    const isAnswered = reason === undefined && code !== status.UNIMPLEMENTED && code !== status.CANCELLED;
    const isKnown = this.#names.has(service) || this.direction === "inbound" || knowsService.has(reason);
    if (!isKnown || service === "") return this.rest;
    const label = this.#earned(service, method, isAnswered) ? method : other;
    return this.find(caller, service, label, version) ?? this.add(caller, service, label, version, nowMs);
  }

  add(by: string, service: string, method: string, version: string, nowMs: number): CallKind {
    if (this.#size >= kindsMax) this.#dropIdle(nowMs);
    if (this.#size >= kindsMax) {
      this.folded++;
      return this.rest;
    }
    const caller = callerName(by);
    const kind = new CallKind({ direction: this.direction, by, caller, service, method, version });
    kind.changedMs = nowMs;
    const key = this.direction === "inbound" ? by : service;
    const methods = this.#kinds.get(key) ?? new Map<string, CallKind>();
    this.#kinds.set(key, methods);
    kind.next = methods.get(method);
    methods.set(method, kind);
    this.#size++;
    return kind;
  }

  *all(): Generator<CallKind> {
    yield this.rest;
    for (const methods of this.#kinds.values())
      for (const first of methods.values())
        for (let kind: CallKind | undefined = first; kind !== undefined; kind = kind.next) yield kind;
  }

  #earned(service: string, method: string, isAnswered: boolean): boolean {
    const methods = this.#names.get(service);
    if (methods?.has(method) === true) return true;
    // callers choose methods, and an application may answer whatever it is called
    if (!isAnswered || method.length > methodToldMax) return false;
    if (this.#named >= namesMax) {
      this.folded++;
      return false;
    }
    this.#named++;
    if (methods === undefined) this.#names.set(service, new Set([method]));
    else methods.add(method);
    return true;
  }

  #dropIdle(nowMs: number): void {
    if (nowMs - this.#lookedMs < lookEveryMs) return;
    this.#lookedMs = nowMs;
    const kept = [...this.all()].filter((kind) => kind !== this.rest && !kind.isIdle(nowMs, idleMs));
    if (kept.length === this.#size) return;
    this.#kinds.clear();
    this.#size = kept.length;
    for (const kind of kept) {
      const key = this.direction === "inbound" ? kind.by : kind.service;
      const methods = this.#kinds.get(key) ?? new Map<string, CallKind>();
      this.#kinds.set(key, methods);
      kind.next = methods.get(kind.method);
      methods.set(kind.method, kind);
    }
  }
}

export class CallTable {
  readonly #sides: Readonly<Record<Direction, Side>> = { inbound: new Side("inbound"), outbound: new Side("outbound") };
  readonly #nowMs: () => number;

  /** `nowMs` returns wall-clock time. */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  started(direction: Direction): void {
    this.#sides[direction].open++;
  }

  /** Notes that an open call ended which another process counts. */
  left(direction: Direction): void {
    this.#sides[direction].open--;
  }

  ended(call: EndedCall): void {
    const side = this.#sides[call.direction];
    side.open--;
    const { numbers } = this.#kindOf(side, call);
    const { code, reason, tookMs } = call;
    const codePlace = code >= 0 && code < place.took ? code : status.UNKNOWN;
    (numbers[codePlace] as number)++;
    (numbers[place.took + tookBucket(tookMs)] as number)++;
    (numbers[place.tookMs] as number) += tookMs;
    (numbers[place.requestBytes] as number) += call.requestBytes;
    (numbers[place.responseBytes] as number) += call.responseBytes;
    (numbers[place.streams] as number) += call.attempts;
    if (reason !== undefined) (numbers[reasonPlaces[reason]] as number)++;
  }

  /** Keeps an ended call as an example of its bucket. `traceId` names its trace. */
  exemplify(call: EndedCall, traceId: string): void {
    const value = call.tookMs / 1000;
    this.#kindOf(this.#sides[call.direction], call).exemplify(tookBucket(call.tookMs), {
      traceId,
      value,
      timeMs: this.#nowMs(),
    });
  }

  open(direction: Direction): number {
    return this.#sides[direction].open;
  }

  folded(direction: Direction): number {
    return this.#sides[direction].folded;
  }

  /** Returns every kind. The first one of each direction is `other`. */
  kinds(): readonly CallKind[] {
    const all = [...this.#sides.inbound.all(), ...this.#sides.outbound.all()];
    const nowMs = this.#nowMs();
    for (const kind of all) kind.noteCalls(nowMs);
    return all;
  }

  /** Adds what another process counted, except its open calls and what it counted as `other`. */
  add(kind: KindCounts): void {
    const side = this.#sides[kind.direction];
    const { by, service, method, version } = kind;
    const isRest = by === other && service === other;
    const own = isRest
      ? side.rest
      : (side.find(by, service, method, version) ?? side.add(by, service, method, version, this.#nowMs()));
    own.add(kind.numbers, kind.exemplars);
  }

  addFolded(direction: Direction, folded: number): void {
    this.#sides[direction].folded += folded;
  }

  addOpen(direction: Direction, open: number): void {
    this.#sides[direction].open += open;
  }

  #kindOf(side: Side, call: EndedCall): CallKind {
    const known = side.find(call.caller, call.service, call.method, call.version);
    return known ?? side.findOrAdd(call, this.#nowMs());
  }
}

/** The counts that one process has of one kind. */
export interface KindCounts {
  readonly direction: Direction;
  readonly by: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly numbers: Float64Array;
  readonly exemplars: readonly (Exemplar | undefined)[] | undefined;
}

/**
 * Returns "front" for the mesh's service of that name, "gateway/NAME" for a gateway and so on, else the whole identity.
 */
export function callerName(by: string): string {
  const [, kind = "", name = ""] = /^spiffe:\/\/[^/]+\/([^/]+)\/([^/]+)$/.exec(by) ?? [];
  if (kind === "") return by;
  return kind === "service" ? name : `${kind}/${name}`;
}

/** The counts of one kind of calls: those of one caller to one method of one version of a service. */

import { callBoundsMs, codesCount } from "../../core/look/look-model.js";
import type { Exemplar } from "../../runtime/metrics-text.js";
import { answerReasons } from "../proxy/answer.js";
import type { Direction } from "../proxy/proxy-metrics.js";

export type { Exemplar };

const bucketsMs = callBoundsMs;
export const bucketsSeconds = bucketsMs.map((ms) => ms / 1000);
const codesMax = codesCount;

/** The index of each number in `CallKind.numbers`. The counts by code come first. */
export const numberPlaces = {
  took: codesMax,
  tookMs: codesMax + bucketsMs.length + 1,
  requestBytes: codesMax + bucketsMs.length + 2,
  responseBytes: codesMax + bucketsMs.length + 3,
  streams: codesMax + bucketsMs.length + 4,
  refused: codesMax + bucketsMs.length + 5,
} as const;
export const numbersCount = numberPlaces.refused + answerReasons.length;

/** Returns the index of the bucket that counts a duration. */
export function tookBucket(tookMs: number): number {
  let bucket = 0;
  while (bucket < bucketsMs.length && tookMs > (bucketsMs[bucket] as number)) bucket++;
  return bucket;
}

export interface KindNames {
  readonly direction: Direction;
  /** The caller's identity. */
  readonly by: string;
  /** The caller's name as a label. */
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /** The version of the called instance. "": no instance was called. */
  readonly version: string;
}

export class CallKind implements KindNames {
  readonly direction: Direction;
  readonly by: string;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly numbers = new Float64Array(numbersCount);
  /** The last example in each bucket. undefined: there is none yet. */
  exemplars: (Exemplar | undefined)[] | undefined;
  /** Another kind with the same look-up key. Kinds with one key form a list. */
  next: CallKind | undefined;
  /** When the kind was last seen with more calls than before. */
  changedMs = 0;
  #callsBefore = 0;
  /** The kind's labels in the text format, rendered once. */
  labels = "";

  constructor(names: KindNames) {
    this.direction = names.direction;
    this.by = names.by;
    this.caller = names.caller;
    this.service = names.service;
    this.method = names.method;
    this.version = names.version;
  }

  is(by: string, service: string, version: string): boolean {
    return this.version === version && this.service === service && this.by === by;
  }

  get calls(): number {
    let calls = 0;
    for (let code = 0; code < codesMax; code++) calls += this.numbers[code] as number;
    return calls;
  }

  /** Whether no call came for `idleMs`, as far as earlier calls of this method can tell. */
  isIdle(nowMs: number, idleMs: number): boolean {
    this.noteCalls(nowMs);
    return nowMs - this.changedMs >= idleMs;
  }

  noteCalls(nowMs: number): void {
    const { calls } = this;
    if (calls !== this.#callsBefore) this.changedMs = nowMs;
    this.#callsBefore = calls;
  }

  exemplify(bucket: number, exemplar: Exemplar): void {
    this.exemplars ??= new Array<Exemplar | undefined>(bucketsMs.length + 1).fill(undefined);
    this.exemplars[bucket] = exemplar;
  }

  add(numbers: Float64Array, exemplars: readonly (Exemplar | undefined)[] | undefined): void {
    for (let index = 0; index < numbersCount; index++) (this.numbers[index] as number) += numbers[index] as number;
    exemplars?.forEach((exemplar, bucket) => {
      if (exemplar !== undefined && exemplar.timeMs >= (this.exemplars?.[bucket]?.timeMs ?? 0))
        this.exemplify(bucket, exemplar);
    });
  }
}

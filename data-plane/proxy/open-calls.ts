import type { Verdict } from "../../core/decision/decision-record.js";
import type { SpiffeId } from "../../core/identity.js";
import type { ReplayedWrite } from "../../core/journal/replayed.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { onAbort } from "../../runtime/abort.js";
import type { EvaluatedPolicy } from "../ports.js";
import type { Answer } from "./answer.js";

/** A call that was allowed and is not over. Only `OpenCalls` uses the links and `isOpen`. */
export interface OpenCall {
  readonly caller: SpiffeId;
  /** The proxy of the application that called without it; undefined: the caller is a proxy. */
  readonly reader?: string | undefined;
  /** Whether the call is a copy of another call. */
  readonly isMirrored: boolean;
  /** The journaled write that the call replays. undefined: the call is no replay. */
  readonly replay?: ReplayedWrite | "malformed" | undefined;
  readonly service: string;
  readonly method: string;
  /** The method that the caller asked for, if a route rewrote it to `method`. */
  readonly calledMethod: string | undefined;
  /** What conditions may read about the call: the same at every judgement. */
  readonly inputs: CallInputs;
  /**
   * The claims of the token when it was last verified; undefined if none was read or there is none. Part of `inputs`.
   */
  claims: CallInputs["claims"];
  tokenIssuer: CallInputs["tokenIssuer"];
  nextOpen: OpenCall | null;
  previousOpen: OpenCall | null;
  isOpen: boolean;
  /** Tells the call's observers, if any, how `policy` judged it. `decision`: the id of the decision, if it has one. */
  judged(verdict: Verdict, policy: EvaluatedPolicy, decision: string | undefined): void;
  /** Ends the call with an answer of the proxy's own. */
  answer(answer: Answer): void;
}

/** The calls of one listener that were allowed and are not over. */
export class OpenCalls {
  #first: OpenCall | null = null;
  #size = 0;
  readonly #waiting: (() => void)[] = [];

  get size(): number {
    return this.#size;
  }

  add(call: OpenCall): void {
    call.isOpen = true;
    call.previousOpen = null;
    call.nextOpen = this.#first;
    if (this.#first !== null) this.#first.previousOpen = call;
    this.#first = call;
    this.#size++;
  }

  /** Removes the call, if it is listed. */
  remove(call: OpenCall): void {
    if (!call.isOpen) return;
    call.isOpen = false;
    if (call.previousOpen === null) this.#first = call.nextOpen;
    else call.previousOpen.nextOpen = call.nextOpen;
    if (call.nextOpen !== null) call.nextOpen.previousOpen = call.previousOpen;
    call.nextOpen = null;
    call.previousOpen = null;
    this.#size--;
    if (this.#size === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /**
   * I10: judges every open call again and ends those that get an answer; the others continue. Returns how many ended.
   */
  judgeAgain(judge: (call: OpenCall) => Answer | undefined): number {
    let ended = 0;
    for (const call of this.#list()) {
      if (!call.isOpen) continue; // the answer to another call ended it: its inputs are gone
      const refusal = judge(call);
      if (refusal === undefined) continue;
      call.answer(refusal);
      ended += 1;
    }
    return ended;
  }

  /** Returns a copy of the list, because answering a call removes it from the links. */
  #list(): OpenCall[] {
    const calls: OpenCall[] = [];
    for (let call = this.#first; call !== null; call = call.nextOpen) calls.push(call);
    return calls;
  }

  /** Resolves when no call is open, or when `signal` aborts. */
  whenNone(signal: AbortSignal): Promise<void> {
    if (this.#size === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const off = onAbort(signal, resolve); // a worker's signal for this never aborts
      this.#waiting.push(() => {
        off();
        resolve();
      });
    });
  }
}

/**
 * An in-memory journal with proxies that write to it. A second append with the same message id is refused, reads see a
 * prefix of the log, acknowledgements are lost, applications are slow, and proxies die at any step. One seed gives one
 * run.
 */
import { entryMessageId } from "../../core/journal/journal-key.js";
import { JournalLog } from "../../core/journal/journal-log.js";
import { type StreamStep, streamSteps } from "../../core/journal/stream-steps.js";
import {
  type FoundEntry,
  type LetGoOfKey,
  type Step,
  type WriteEnd,
  WriteSteps,
} from "../../core/journal/write-steps.js";
import type { Call, Ended, Faults, Stored, StoredLetGo, StoredOutcome } from "./journal-world-log.js";

type Outcome = StoredOutcome;

interface Running {
  readonly call: Call;
  readonly steps: Generator<Step | StreamStep, WriteEnd<Outcome> | { readonly kind: "gone" }, unknown>;
  readonly proxy: number;
  readonly life: number;
  asked: Step | StreamStep | undefined;
  /** The records of the call's messages. */
  readonly records: number[];
  waits: number;
  /** What the application does with the write: an index of `World.given`. */
  given: number;
}

interface Given {
  readonly sequence: number;
  readonly call: Call;
  isDone: boolean;
  /** Whether the application hangs for a while. */
  readonly isSlow: boolean;
}

/** Returns a small generator of random numbers in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const patience = 12;

export class World {
  readonly log: Stored[] = [];
  readonly ended: Ended[] = [];
  /** What the application applied, in order. */
  readonly applied: Given[] = [];
  readonly given: Given[] = [];
  /** Message ids that the stream forgot, each with the length that the log had then. */
  readonly forgotten: { readonly id: string; readonly sequence: number; readonly at: number }[] = [];
  readonly #ids = new Map<string, number>();
  readonly #random: () => number;
  readonly #faults: Faults;
  readonly #lives: number[];
  #running: Running[] = [];
  #life = 0;
  /** The length of the log when each running call began. */
  readonly #begunAt = new Map<Running, number>();
  readonly #back: number;

  constructor(random: () => number, faults: Faults, proxies: number) {
    this.#random = random;
    this.#faults = faults;
    this.#back = (faults.lettingGo ?? 0) > 0 && random() < 0.3 ? Math.floor(random() * 5) : 0;
    this.#lives = Array.from({ length: proxies }, () => ++this.#life);
  }

  get busy(): boolean {
    return this.#running.length > 0 || this.given.some(({ isDone }) => !isDone);
  }

  start(call: Call): void {
    const proxy = Math.floor(this.#random() * this.#lives.length);
    const write = { isOrdered: call.order !== "", isKeyed: call.keyId !== "", expected: call.expected };
    const records: number[] = [];
    const steps = this.#stepsOf(call, new WriteSteps<Outcome>(write), records);
    const running: Running = {
      records,
      call,
      steps,
      proxy,
      life: this.#lives[proxy] ?? 0,
      asked: undefined,
      waits: 0,
      given: -1,
    };
    this.#running.push(running);
    this.#begunAt.set(running, this.log.length);
    this.#go(running, undefined);
  }

  *#stepsOf({ messages }: Call, write: WriteSteps<Outcome>, records: number[]): Running["steps"] {
    if (messages !== undefined) {
      const end = yield* streamSteps();
      if (end.kind !== "whole") return end;
      records.push(...end.messages);
    }
    return yield* write.run();
  }

  /** Makes one event happen: a step of some call, a death, or an act of the application. */
  tick(): void {
    const { lettingGo = 0 } = this.#faults;
    if (lettingGo > 0 && this.#random() < lettingGo) this.#letGo();
    const waiting = this.given.filter(({ isDone }) => !isDone);
    const pick = Math.floor(this.#random() * (this.#running.length + waiting.length));
    const running = this.#running[pick];
    if (running === undefined) this.#apply(waiting[pick - this.#running.length]);
    else if (this.#random() < this.#faults.death) this.#die(running);
    else this.#perform(running);
  }

  /** The last record of a drop. undefined: nothing was dropped. */
  get letGo(): StoredLetGo | undefined {
    return this.log.findLast((each): each is StoredLetGo => each.kind === "let-go");
  }

  /** Drops what is settled and older than any running call. A part of it sometimes comes back. */
  #letGo(): void {
    const law = new JournalLog(this.letGo);
    for (const each of this.log) {
      if (each.kind === "entry") law.addEntry({ ...each, key: each.subject, hasOutcome: false });
      else if (each.kind === "outcome") law.addOutcome(each);
    }
    const open = [...law.entries].filter(({ isValid, settledBy }) => isValid && settledBy === 0);
    const oldest = Math.min(this.log.length, ...open.map(({ sequence }) => sequence - 1), ...this.#begunAt.values());
    const through = this.#unsplit(Math.floor(this.#random() * (oldest + 1)));
    if (through <= (this.letGo?.through ?? 0)) return;
    const heads = new Map<string, number>(this.letGo?.heads);
    for (const { key, sequence, isValid, isOrdered } of law.entries)
      if (isValid && isOrdered && sequence <= through) heads.set(key, sequence);
    this.log.push({ kind: "let-go", sequence: this.log.length + 1, subject: "", through, heads });
    for (const [id, sequence] of this.#ids) {
      if (sequence > through) continue;
      this.#ids.delete(id);
      this.forgotten.push({ id, sequence, at: this.log.length });
    }
  }

  /** Returns the sequence to drop through, so that a stream is dropped as a whole or not at all. */
  #unsplit(through: number): number {
    for (const each of this.log.toReversed())
      if (each.kind === "entry" && each.sequence > through && (each.messages[0] ?? Number.POSITIVE_INFINITY) <= through)
        return this.#unsplit((each.messages[0] ?? 1) - 1);
    return through;
  }

  /**
   * Returns whether an entry exists. The last dropped entries come back if a server is killed before it wrote the drop.
   */
  #isThere({ sequence }: Stored): boolean {
    const through = this.letGo?.through ?? 0;
    return sequence > through || sequence > through - this.#back;
  }

  #apply(given: Given | undefined): void {
    if (given === undefined) return;
    if (given.isSlow && this.#running.length > 0 && this.#random() < 0.95) return;
    given.isDone = true;
    this.applied.push(given);
  }

  /** Kills the call's proxy in this step, perhaps after the step took effect. */
  #die({ proxy, life }: Running): void {
    const dead = this.#running.filter((each) => each.life === life);
    for (const each of dead) if (this.#random() < 0.5) this.#takesEffect(each);
    this.#running = this.#running.filter((each) => each.life !== life);
    for (const each of dead) this.#begunAt.delete(each);
    for (const { call } of dead) this.ended.push({ call, end: undefined });
    this.#lives[proxy] = ++this.#life;
  }

  #takesEffect(running: Running): void {
    const { asked } = running;
    if (asked?.kind === "append") this.#append(running, asked.expected, asked.afterVoid);
    if (asked?.kind === "append-messages") this.#appendMessages(running, asked.number);
    if (asked?.kind === "forward" && running.given < 0) this.#give(running, asked.sequence);
    if (asked?.kind === "record") this.#record(running, asked);
  }

  #go(running: Running, result: unknown): void {
    const { value, done } = running.steps.next(result);
    running.waits = 0;
    if (done !== true) {
      running.asked = value;
      return;
    }
    this.#running = this.#running.filter((each) => each !== running);
    this.#begunAt.delete(running);
    this.ended.push({ call: running.call, end: value });
  }

  #perform(running: Running): void {
    const { asked } = running;
    if (asked === undefined) return;
    const result = this.#resultOf(running, asked);
    if (result !== notYet) this.#go(running, result);
    else if (asked.kind !== "collect" && ++running.waits > patience) this.#go(running, whenLate(asked));
  }

  #resultOf(running: Running, step: Step | StreamStep): unknown {
    switch (step.kind) {
      case "collect":
        return this.#collect(running);
      case "append-messages":
        return this.#withLoss(() => this.#appendMessages(running, step.number));
      case "head":
        return this.#guessHead(running);
      case "append":
        return this.#appendWithLoss(running, step.expected, step.afterVoid);
      case "entry":
        return this.#entry(running, step.sequence, step.of);
      case "first-after":
        return this.#firstAfter(step.after, step.until);
      case "let-go":
        return this.#letGoOf(this.#subjectAt(step.of) ?? "");
      case "is-known":
        return this.#read().some(
          ({ kind, subject, ...each }) =>
            kind === "outcome" &&
            "entry" in each &&
            each.entry === step.sequence &&
            subject === this.#subjectAt(step.of),
        );
      case "outcome":
        if (step.sequence <= (this.letGo?.through ?? 0)) return "let-go";
        return this.#read().find((each) => each.kind === "outcome" && each.entry === step.sequence) ?? notYet;
      case "forward":
        return this.#forward(running, step.sequence);
      case "record":
        return this.#random() < this.#faults.loss ? false : this.#record(running, step);
    }
  }

  /** Returns what a replica has: a prefix of the log that includes the last drop. */
  #read(): readonly Stored[] {
    const isFresh = this.#random() < this.#faults.fresh;
    const least = this.letGo?.sequence ?? 0;
    const length = isFresh ? this.log.length : least + Math.floor(this.#random() * (this.log.length - least + 1));
    return this.log.slice(0, length).filter((each) => this.#isThere(each));
  }

  #letGoOf(key: string): LetGoOfKey {
    const last = this.#read().findLast((each): each is StoredLetGo => each.kind === "let-go");
    return { through: last?.through ?? 0, head: last?.heads.get(key) ?? 0 };
  }

  #guessHead({ call }: Running): number {
    const subject = subjectOf(call);
    let head = this.#letGoOf(subject).head;
    for (const each of this.#read())
      if (each.kind === "entry" && each.subject === subject && each.expected === head) head = each.sequence;
    return head;
  }

  #append(running: Running, expected: number, afterVoid: number) {
    const { call, life } = running;
    const id = call.keyId === "" ? `n${call.id}.${expected}` : entryMessageId(call.keyId, afterVoid);
    const before = this.#ids.get(id);
    if (before !== undefined) return { sequence: before, isDuplicate: true };
    const sequence = this.log.length + 1;
    this.#ids.set(id, sequence);
    const { theft = 0 } = this.#faults;
    if (theft > 0 && call.keyId !== "" && this.#random() < theft) {
      this.log.push({ kind: "garbage", sequence, subject: subjectOf(call) });
      return { sequence, isDuplicate: true };
    }
    const { keyId, request, order } = call;
    const isOrdered = order !== "";
    this.log.push({
      ...{
        kind: "entry",
        sequence,
        subject: subjectOf(call),
        isOrdered,
        expected,
        keyId,
        request,
        call: call.id,
        life,
        messages: [...running.records],
      },
    });
    return { sequence, isDuplicate: false };
  }

  /** Returns what the caller does next. */
  #collect({ call, life }: Running): "messages" | "ended" | "gone" | typeof notYet {
    if (this.#random() < 0.5) return notYet;
    const stream = streamOf(call, life);
    const sent = this.log.filter((each) => each.kind === "messages" && each.stream === stream).length;
    if (call.messages === "breaks-off") return sent === 0 ? "messages" : "gone";
    return sent < (call.messages ?? 0) ? "messages" : "ended";
  }

  #appendMessages({ call, life }: Running, number: number): number {
    const stream = streamOf(call, life);
    const id = `${stream}.${number}`;
    const before = this.#ids.get(id);
    if (before !== undefined) return before;
    const sequence = this.log.length + 1;
    this.#ids.set(id, sequence);
    this.log.push({ kind: "messages", sequence, subject: `m${stream}`, stream, number });
    return sequence;
  }

  /**
   * Appends, perhaps with loss: an append that did not arrive, or whose acknowledgement was lost, is repeated or given
   * up.
   */
  #withLoss(append: () => number): number | undefined | typeof notYet {
    const drawn = this.#random();
    if (drawn < this.#faults.loss / 3) return notYet;
    const sequence = append();
    if (drawn < (2 * this.#faults.loss) / 3) return notYet;
    return drawn < (2.2 * this.#faults.loss) / 3 ? undefined : sequence;
  }

  #appendWithLoss(running: Running, expected: number, afterVoid: number): unknown {
    const drawn = this.#random();
    if (drawn < this.#faults.loss / 3) return undefined; // it never arrived
    const appended = this.#append(running, expected, afterVoid);
    if (drawn < (2 * this.#faults.loss) / 3) return undefined; // it arrived, but its acknowledgement was lost
    if (drawn < this.#faults.loss) return { ...appended, isDuplicate: true }; // the second attempt was acknowledged
    return appended;
  }

  #subjectAt(sequence: number): string | undefined {
    return this.log[sequence - 1]?.subject;
  }

  #entry({ call, life }: Running, sequence: number, of: number): FoundEntry | "none" | "doubtful" | typeof notYet {
    const found = this.#read().find((each) => each.sequence === sequence);
    if (found === undefined) return sequence <= (this.letGo?.through ?? 0) ? "doubtful" : notYet;
    if (found.kind !== "entry" || (of !== 0 && found.subject !== this.#subjectAt(of))) return "none";
    const { isOrdered, expected } = found;
    const isOwn = found.call === call.id && found.life === life;
    return {
      isOwn,
      isOfKey: found.keyId === call.keyId,
      isOrdered,
      expected,
      isSameRequest: found.request === call.request && found.subject === subjectOf(call),
    };
  }

  #firstAfter(after: number, until: number): number | typeof notYet {
    const subject = this.#subjectAt(until);
    for (const each of this.#read()) {
      if (each.kind !== "entry" || each.subject !== subject || each.sequence <= after) continue;
      if (each.expected === after || each.sequence >= until) return each.sequence;
    }
    return notYet;
  }

  #give(running: Running, sequence: number): void {
    running.given = this.given.length;
    this.given.push({ sequence, call: running.call, isDone: false, isSlow: this.#random() < this.#faults.loss });
  }

  #forward(running: Running, sequence: number): unknown {
    if (running.given < 0) {
      if (this.#random() < this.#faults.loss / 2) return "not-forwarded"; // there was no application
      this.#give(running, sequence);
      if (this.#random() < this.#faults.loss / 2) return "lost";
    }
    return this.given[running.given]?.isDone === true ? "answered" : notYet;
  }

  #record({ call }: Running, step: Step & { readonly kind: "record" }): boolean {
    const { sequence: entry, notForwarded, behind } = step;
    const id = `o${entry}`;
    if (!this.#ids.has(id)) {
      const sequence = this.log.length + 1;
      this.#ids.set(id, sequence);
      const result = `call ${call.id}`;
      this.log.push({ kind: "outcome", sequence, subject: subjectOf(call), entry, notForwarded, behind, result });
    }
    return true;
  }
}

const notYet = Symbol("not yet");
const subjectOf = ({ order, keyId }: Call): string => (order === "" ? `k${keyId}` : `o${order}`);

/** Returns a stream's name. A stream belongs to one life of a proxy; a proxy that dies leaves it open for ever. */
const streamOf = ({ id }: Call, life: number): string => `${id}.${life}`;

function whenLate(step: Step | StreamStep): unknown {
  if (step.kind === "outcome") return step.sequence % 2 === 0 ? "in-flight" : "unknown";
  return step.kind === "forward" ? "lost" : undefined;
}

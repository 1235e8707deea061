/** The inputs of a recorded call, for conditions. They note when a condition reads a value that was not recorded. */
import type { Label } from "../model.js";
import type { CallInputs } from "../policy/condition/frame.js";
import type { Value, ValueMap } from "../policy/condition/values.js";
import type { DecisionInputs, Recorded } from "./decision-record.js";

const noLabels: ReadonlyMap<string, string> = new Map();
const noClaims: ValueMap = new Map();
const unreadMax = 16;

export class RecordedInputs implements CallInputs {
  readonly nowMs: number;
  readonly #inputs: DecisionInputs;
  readonly #unread = new Set<string>();

  constructor(inputs: DecisionInputs, nowMs: number) {
    this.#inputs = inputs;
    this.nowMs = nowMs;
  }

  /** The values that were read and are not known, in words for people; empty if all were recorded. */
  get unknown(): readonly string[] {
    return [...this.#unread];
  }

  header(name: string): string | undefined {
    const found = this.#inputs.headers.find((header) => header.name === name);
    return this.#contentOf(found?.content, `header ${name}`);
  }

  get sourceAddress(): string | undefined {
    if (this.#inputs.source === undefined) this.#lack("the caller's address");
    return this.#inputs.source?.address;
  }

  get destinationLabels(): ReadonlyMap<string, string> {
    return this.#labelsOf(this.#inputs.labels, "the labels of the proxy that was called");
  }

  get sourceLabels(): ReadonlyMap<string, string> {
    return this.#labelsOf(this.#inputs.sourceLabels, "the labels of the caller's proxy");
  }

  #labelsOf(labels: readonly Label[] | undefined, what: string): ReadonlyMap<string, string> {
    if (labels === undefined) this.#lack(what);
    return labels === undefined ? noLabels : new Map(labels.map(({ key, value }) => [key, value]));
  }

  get tokenIssuer(): string | undefined {
    if (this.#inputs.issuer === undefined) this.#lack("the token's issuer");
    return this.#inputs.issuer?.name;
  }

  get claims(): ValueMap {
    const { claims, claimsComplete } = this.#inputs;
    if (claimsComplete && claims.length === 0) return noClaims;
    const lack = (name: string): void => this.#lack(`claim ${name}`);
    return new RecordedClaims(
      new Map(claims.map(({ name, content }) => [name, content])),
      claimsComplete ? undefined : () => this.#lack("all claims"),
      lack,
    );
  }

  #contentOf(content: Recorded<string> | undefined, what: string): string | undefined {
    if (content?.state === "whole") return content.value;
    if (content?.state !== "missing") this.#lack(content === undefined ? what : `${what} (${whyOf(content.state)})`);
    return undefined;
  }

  #lack(what: string): void {
    if (this.#unread.size < unreadMax) this.#unread.add(what);
  }
}

function whyOf(state: "digest" | "withheld"): string {
  return state === "digest" ? "too long to be recorded" : "a credential, never recorded";
}

/** Recorded claims, some of which may be unknown; a Map, because conditions expect one. */
class RecordedClaims extends Map<string, Value> {
  readonly #contents: ReadonlyMap<string, Recorded<Value>>;
  /** Called when a condition reads all claims and some are unknown; undefined if every claim was recorded. */
  readonly #lackAll: (() => void) | undefined;
  readonly #lack: (name: string) => void;

  constructor(
    contents: ReadonlyMap<string, Recorded<Value>>,
    lackAll: (() => void) | undefined,
    lack: (name: string) => void,
  ) {
    super();
    this.#contents = contents;
    this.#lackAll = lackAll;
    this.#lack = lack;
    for (const [name, content] of contents) if (content.state === "whole") super.set(name, content.value);
  }

  override get(name: string): Value | undefined {
    this.#ask(name);
    return super.get(name);
  }

  override has(name: string): boolean {
    const content = this.#contents.get(name);
    if (content?.state === "digest" || content?.state === "withheld") return true;
    this.#ask(name);
    return super.has(name);
  }

  override get size(): number {
    this.#askAll();
    return super.size;
  }

  override keys(): MapIterator<string> {
    this.#askAll();
    return super.keys();
  }

  override values(): MapIterator<Value> {
    this.#askAll();
    return super.values();
  }

  override entries(): MapIterator<[string, Value]> {
    this.#askAll();
    return super.entries();
  }

  override [Symbol.iterator](): MapIterator<[string, Value]> {
    this.#askAll();
    return super[Symbol.iterator]();
  }

  override forEach(visit: (value: Value, key: string, map: Map<string, Value>) => void): void {
    this.#askAll();
    super.forEach(visit);
  }

  #ask(name: string): void {
    const content = this.#contents.get(name);
    if (
      content === undefined ? this.#lackAll !== undefined : content.state === "digest" || content.state === "withheld"
    )
      this.#lack(name);
  }

  #askAll(): void {
    this.#lackAll?.();
    for (const [name, { state }] of this.#contents) if (state === "digest" || state === "withheld") this.#lack(name);
  }
}

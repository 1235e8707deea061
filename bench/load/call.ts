import type { FieldBlock } from "../../data-plane/http2/field-block.js";
import { fieldName } from "../../data-plane/http2/field-names.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import type { Stream, StreamSink } from "../../data-plane/http2/stream.js";

/** Counts calls by their result. */
export class Tally {
  ok = 0;
  failed = 0;
  bytes = 0;
  /** The number of failures, by what went wrong. */
  readonly faults = new Map<string, number>();
  /** Latencies in microseconds, of the last `latenciesUs.length` calls. */
  readonly latenciesUs = new Float64Array(1 << 20);

  fault(what: string): void {
    this.failed++;
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1);
  }

  good(latencyUs: number): void {
    this.latenciesUs[this.ok++ & (this.latenciesUs.length - 1)] = latencyUs;
  }

  latencyUs(quantile: number): number {
    const count = Math.min(this.ok, this.latenciesUs.length);
    if (count === 0) return 0;
    const sorted = this.latenciesUs.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.floor(quantile * count))] as number;
  }
}

/** One call. It checks that exactly `body` comes back with status OK. */
export class Call implements StreamSink {
  readonly #tally: Tally;
  readonly #body: Uint8Array;
  readonly #startedMs: number;
  readonly #done: () => void;
  readonly #grpc: boolean;
  #at = 0;
  #fault = "";
  #status = false;

  constructor(tally: Tally, body: Uint8Array, grpc: boolean, startedMs: number, done: () => void) {
    this.#tally = tally;
    this.#body = body;
    this.#grpc = grpc;
    this.#startedMs = startedMs;
    this.#done = done;
  }

  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    const status = fields.find(fieldName.status);
    if (!fields.valueIs(status, "200")) this.#fault = `status ${fields.valueText(status)}`;
    if (!this.#grpc) this.#status = true;
    if (endStream) this.onTrailers(stream, fields);
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const body = this.#body;
    let at = this.#at;
    if (at + end - start > body.length) this.#fault = "too many bytes";
    else if (end - start > 4096) {
      if (Buffer.compare(body.subarray(at, at + end - start), bytes.subarray(start, end)) !== 0)
        this.#fault = "wrong bytes";
      at += end - start;
    } else for (let i = start; i < end; i++) if (body[at++] !== bytes[i]) this.#fault = "wrong bytes";
    this.#at = at;
    stream.consumed(end - start);
    if (endStream) this.#end();
  }

  onTrailers(_stream: Stream, fields: FieldBlock): void {
    const status = fields.find(fieldName.grpcStatus);
    this.#status = status >= 0 && fields.valueIs(status, "0");
    if (!this.#status && this.#fault === "") {
      this.#fault = status < 0 ? "no grpc-status" : `grpc-status ${fields.valueText(status)}`;
    }
    this.#end();
  }

  onReset(_stream: Stream, code: number): void {
    this.#fault = `reset ${code}`;
    this.#end();
  }

  onTaken(): void {}

  #end(): void {
    const tally = this.#tally;
    if (this.#fault === "" && this.#at !== this.#body.length) this.#fault = "too few bytes";
    if (this.#fault === "" && !this.#status) this.#fault = "no status";
    if (this.#fault === "") {
      tally.good((performance.now() - this.#startedMs) * 1000);
      tally.bytes += this.#body.length;
    } else tally.fault(this.#fault);
    this.#done();
  }
}

const hex = "0123456789abcdef";
let random = 0x2545f491;

/** Makes the changing fields differ from those of another run. */
export function seedFields(seed: number): void {
  random ^= Math.imul(seed, 0x9e3779b1);
  if (random === 0) random = 1;
}

const steady = (flags: string) => [
  new PreparedField("grpc-timeout", "20S"),
  new PreparedField("traceparent", `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-${flags}`),
];
const [steadyFields, unsampledFields] = [steady("01"), steady("00")];

/**
 * Returns the fields that change with every call. Like common clients, the sender puts them into its dynamic table.
 * `sampled`: whether the caller traces the call.
 */
export function freshFields(vary: boolean, sampled = true): readonly PreparedField[] {
  if (!vary) return sampled ? steadyFields : unsampledFields;
  const timeout = `${10_000_000 + (nextRandom() % 10_000_000)}u`;
  const trace = `00-${word()}${word()}${word()}${word()}-${word()}${word()}-${sampled ? "01" : "00"}`;
  return [new PreparedField("grpc-timeout", timeout), new PreparedField("traceparent", trace)];
}

function nextRandom(): number {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return random >>> 0;
}

function word(): string {
  let value = nextRandom();
  let text = "";
  for (let i = 0; i < 8; i++) {
    text += hex[value & 15];
    value >>>= 4;
  }
  return text;
}

/** Reads and creates `traceparent` as W3C Trace Context defines it: https://www.w3.org/TR/trace-context/. */
const textLength = 55;
/** The longest value that is accepted: an unknown version may have more after a dash, but none needs this much. */
const laterLengthMax = 512;
const dash = 0x2d;
const randomBytesKept = 4800; // 200 traces

/** For each byte value: 0 if it is a lower-case hexadecimal digit, else 1. */
const notHex = new Uint8Array(256).fill(1);
for (const character of "0123456789abcdef") notHex[character.charCodeAt(0)] = 0;

/**
 * Whether the bytes are a traceparent of any version but ff, with a trace id and a span id. For versions after 00 the
 * first four fields are checked and the rest passes unchanged (W3C Trace Context, 3.2.4).
 */
export function isTraceparentAt(bytes: Uint8Array, start: number, length: number): boolean {
  if (length !== textLength && !isLater(bytes, start, length)) return false;
  if (bytes[start + 2] !== dash || bytes[start + 35] !== dash || bytes[start + 52] !== dash) return false;
  if (bytes[start] === 0x66 && bytes[start + 1] === 0x66) return false;
  return (
    isHexAt(bytes, start, 2, true) &&
    isHexAt(bytes, start + 3, 32, false) &&
    isHexAt(bytes, start + 36, 16, false) &&
    isHexAt(bytes, start + 53, 2, true)
  );
}

/** Whether the value is longer than version 00, of a later version, and has a dash after the flags. */
function isLater(bytes: Uint8Array, start: number, length: number): boolean {
  if (length < textLength || length > laterLengthMax) return false;
  return bytes[start + textLength] === dash && (bytes[start] !== 0x30 || bytes[start + 1] !== 0x30);
}

/** Whether the bytes are hexadecimal digits in lower case. `zeros`: all of them may be 0. */
function isHexAt(bytes: Uint8Array, start: number, length: number, zeros: boolean): boolean {
  let wrong = 0;
  let some = zeros ? 1 : 0;
  for (let i = start; i < start + length; i++) {
    const byte = bytes[i] as number;
    wrong |= notHex[byte] as number;
    some |= byte ^ 0x30;
  }
  return wrong === 0 && some !== 0;
}

/** Begins traces for calls that arrived without one. It fetches random bytes for many traces at once. */
export class TraceSource {
  readonly #random: (bytes: number) => Buffer;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(random: (bytes: number) => Buffer) {
    this.#random = random;
  }

  /** Returns the parent of a new trace. It is not sampled, since nobody asked for that. */
  next(): string {
    if (this.#at + 24 > this.#bytes.length) {
      this.#bytes = this.#random(randomBytesKept);
      this.#at = 0;
    }
    const text = this.#bytes.toString("hex", this.#at, this.#at + 24);
    this.#at += 24;
    return `00-${text.slice(0, 32)}-${text.slice(32)}-00`;
  }
}

/** Whether a traceparent, whose form was checked, says that its trace is sampled. */
function isSampled(traceparent: string | undefined): boolean {
  return traceparent !== undefined && (Number.parseInt(traceparent.charAt(54), 16) & 1) === 1;
}

/**
 * Returns what a record says about a call's trace: the id if the trace is sampled, or if `always` is set and there is
 * one.
 */
export function traceOf(traceparent: string | undefined, always: boolean): { readonly traceId?: string } {
  if (traceparent === undefined || (!always && !isSampled(traceparent))) return {};
  return { traceId: traceparent.slice(3, 35) };
}

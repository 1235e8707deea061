/** Decodes base64 that arrives in pieces, each of which may end with padding, as in application/grpc-web-text. */

const alphabet = /^[A-Za-z0-9+/]*$/;
const group = 4;

export class Base64Reader {
  #rest = "";

  /** Whether the bytes so far end within a group of four characters. */
  get isWithin(): boolean {
    return this.#rest !== "";
  }

  /** Returns the decoded `bytes[start, end)` together with the rest of earlier bytes; undefined: they are no base64. */
  read(bytes: Uint8Array, start: number, end: number): Buffer | undefined {
    const text = this.#rest + Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
    const whole = text.length - (text.length % group);
    this.#rest = text.slice(whole);
    const parts: Buffer[] = [];
    for (let at = 0; at < whole; ) {
      const padding = text.indexOf("=", at);
      const stop = padding < 0 || padding >= whole ? whole : padding - (padding % group) + group;
      const part = decode(text.slice(at, stop));
      if (part === undefined) return undefined;
      parts.push(part);
      at = stop;
    }
    return /[^A-Za-z0-9+/=]/.test(this.#rest) ? undefined : Buffer.concat(parts);
  }
}

/** Decodes `text`, a number of groups; only the last may be padded. */
function decode(text: string): Buffer | undefined {
  const digits = text.replace(/={1,2}$/, "");
  return alphabet.test(digits) ? Buffer.from(digits, "base64") : undefined;
}

const prefixBytes = 5;

/** Counts the complete gRPC messages of one direction, and their bytes including the prefixes. */
export class MessageTally {
  messages = 0;
  bytes = 0;
  /** Below: the bytes of the current prefix, the length that it states, and the bytes of the message still to come. */
  #prefix = 0;
  #length = 0;
  #left = 0;

  add(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    let at = start;
    while (at < end) {
      if (this.#prefix < prefixBytes) {
        if (this.#prefix++ > 0) this.#length = this.#length * 256 + (bytes[at] as number);
        at++;
        if (this.#prefix < prefixBytes) continue;
        this.#left = this.#length;
        this.#length = 0;
      } else {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#left > 0) continue;
      this.messages++;
      this.#prefix = 0;
    }
  }
}

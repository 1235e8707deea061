/** W3C Trace Context, "traceparent": https://www.w3.org/TR/trace-context/. */
const form = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export function isTraceparent(text: string): boolean {
  return form.test(text);
}

/** A new trace's parent, from 24 random bytes; not sampled, since nobody asked for it. */
export function buildTraceparent(random: Buffer): string {
  return `00-${random.toString("hex", 0, 16)}-${random.toString("hex", 16, 24)}-00`;
}

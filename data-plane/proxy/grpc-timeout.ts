/** The `grpc-timeout` header: 1 to 8 digits and a unit (gRPC over HTTP/2, "Timeout"). */
const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
const valueMax = 99_999_999;

/** Milliseconds, with fractions; undefined if it is malformed. */
export function parseGrpcTimeoutMs(text: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  const ms = unitMs[match?.[2] ?? ""];
  return match === null || ms === undefined ? undefined : Number(match[1]) * ms;
}

/** The header's value for the time that remains; rounded down, and never less than a microsecond. */
export function renderGrpcTimeout(remainingMs: number): string {
  const micros = Math.max(1, Math.floor(remainingMs * 1000));
  if (micros <= valueMax) return `${micros}u`;
  const ms = Math.floor(remainingMs);
  if (ms <= valueMax) return `${ms}m`;
  return `${Math.min(Math.floor(ms / 1000), valueMax)}S`;
}

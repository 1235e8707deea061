const valueMax = 99_999_999;

/**
 * Returns the value of `grpc-timeout` for the remaining time (gRPC over HTTP/2, "Timeout": 1 to 8 digits and a unit),
 * rounded down to at least one microsecond.
 */
export function renderGrpcTimeout(remainingMs: number): string {
  const micros = Math.max(1, Math.floor(remainingMs * 1000));
  if (micros <= valueMax) return `${micros}u`;
  const ms = Math.floor(remainingMs);
  if (ms <= valueMax) return `${ms}m`;
  return `${Math.min(Math.floor(ms / 1000), valueMax)}S`;
}

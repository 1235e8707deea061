/** Verifies a received endpoint's statement and then parses the endpoint. */
import { parseEndpoint } from "../../core/wire/fleet.js";
import { endpointStream, endpointSubject } from "../../core/wire/subjects.js";
import { asPublished, type Bus, type BusMessage } from "../../runtime/bus.js";
import { type StatementReader, statementSkewMs } from "../../runtime/statement-reader.js";
import { instancesMax, type StatedEndpoint } from "./registry-state.js";

/** A statement older than this says nothing about whether its proxy still runs; a heartbeat has to. In milliseconds. */
const recentMs = 60_000;

/**
 * Returns the endpoint. undefined: its proxy is revoked. `asked`: this proxy read it from the stream. Fails as
 * `StatementReader.read` and `parseEndpoint` do.
 */
export function readEndpoint(
  reader: StatementReader,
  message: BusMessage,
  asked: boolean,
  nowMs: number,
): StatedEndpoint | undefined {
  const { writer, signed } = asked ? reader.readAsked("endpoint", message) : reader.read("endpoint", message);
  if (signed?.revoked !== undefined) return undefined;
  const endpoint = parseEndpoint(message.data, writer);
  const recent = Math.abs(nowMs - endpoint.timeMs) < recentMs;
  const endsMs = signed === undefined ? Number.MAX_SAFE_INTEGER : signed.notAfterMs + statementSkewMs;
  return { endpoint, serial: signed?.serial, endsMs, recent };
}

/**
 * Yields the last statement of each proxy of `service` in the stream, until `signal` aborts. Fails as a direct get
 * does.
 */
export async function* readStored(
  bus: Pick<Bus, "directGet">,
  service: string,
  signal: AbortSignal,
): AsyncGenerator<BusMessage, void, undefined> {
  const subject = endpointSubject(service, "*");
  for (let [from, count] = [1, 0]; count < instancesMax && !signal.aborted; count += 1) {
    const message = await bus.directGet(endpointStream, { nextOf: subject, from });
    if (message === undefined) return;
    from = message.sequence + 1;
    yield asPublished(message, endpointStream) ?? message;
  }
}

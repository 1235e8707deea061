/** An endpoint as it was received: judged by its statement, then parsed. */
import { parseEndpoint } from "../../core/wire/fleet.js";
import { endpointStream, endpointSubject } from "../../core/wire/subjects.js";
import { asPublished, type Bus, type BusMessage } from "../../runtime/bus.js";
import { type StatementReader, statementSkewMs } from "../../runtime/statement-reader.js";
import { instancesMax, type StatedEndpoint } from "./registry-state.js";

/** A statement that is older says nothing about whether its proxy is there now: a heartbeat has to. */
const recentMs = 60_000;

/**
 * undefined: its proxy is revoked. `asked`: this proxy read it from the stream. Fails with what `StatementReader.read`
 * and `parseEndpoint` fail with.
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

/** The last word of each proxy of `service`, as the stream has it, until `signal` aborts. Fails as a direct get does. */
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

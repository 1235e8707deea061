/** Keeps the registry up to date from the endpoint stream and its republished messages. */
import { messageOf } from "../../core/errors.js";
import { parseEndpoint } from "../../core/wire/fleet.js";
import { endpointReadSubject, endpointStream, endpointSubject } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import { asPublished, type Bus, type BusMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type StatementReader, statementSkewMs } from "../../runtime/statement-reader.js";
import type { RegistryState } from "./registry-state.js";

export interface RegistryLoopDeps {
  readonly state: RegistryState;
  readonly bus: Pick<Bus, "subscribe" | "leaderGet" | "whenConnected" | "onStatus">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reader: Pick<StatementReader, "read" | "readAsked">;
}

const queuedMax = 20_000;
const everything = endpointSubject("*", "*");

/**
 * Follows endpoints until `signal` aborts. The stream is read at the start, after each reconnect, and when messages
 * were dropped; in between, republished messages count. Losing NATS removes nothing.
 */
export async function runRegistryLoop(deps: RegistryLoopDeps, signal: AbortSignal): Promise<void> {
  const subscription = deps.bus.subscribe(endpointReadSubject("*", "*"), { queueMax: queuedMax });
  let wake = new AbortController();
  const readAgain = () => wake.abort();
  const stopStatus = deps.bus.onStatus(({ connected }) => connected && readAgain());
  onAbort(signal, readAgain);
  const following = follow(deps, subscription, readAgain);
  const backoff = new Backoff({ msMin: 100, msMax: 10_000 });
  while (!signal.aborted) {
    wake = new AbortController();
    try {
      await deps.bus.whenConnected(signal);
      await readStream(deps, signal);
      backoff.reset();
      await deps.clock.sleep(rereadMs, wake.signal);
    } catch (error) {
      if (signal.aborted) break;
      deps.log.warn("cannot read the endpoints", { why: messageOf(error) });
      await deps.clock.sleep(backoff.nextMs(), signal);
    }
  }
  stopStatus();
  subscription.close();
  await following;
}

const rereadMs = 60_000;

async function follow(
  deps: RegistryLoopDeps,
  subscription: ReturnType<Bus["subscribe"]>,
  readAgain: () => void,
): Promise<void> {
  let dropped = 0;
  for await (const message of subscription) {
    take(deps, message);
    if (subscription.dropped === dropped) continue;
    dropped = subscription.dropped;
    readAgain();
  }
}

async function readStream(deps: RegistryLoopDeps, signal: AbortSignal): Promise<void> {
  for (let from = 1; !signal.aborted; ) {
    const message = await deps.bus.leaderGet(endpointStream, { nextOf: everything, from });
    if (message === undefined) return;
    take(deps, message, true);
    from = message.sequence + 1;
  }
}

function take({ state, log, reader }: RegistryLoopDeps, message: BusMessage, asked = false): void {
  const published = asPublished(message, endpointStream);
  if (published === undefined) return;
  try {
    const { writer, signed } = asked ? reader.readAsked("endpoint", published) : reader.read("endpoint", published);
    const endpoint = parseEndpoint(message.data, writer);
    const endsMs = signed === undefined ? Number.POSITIVE_INFINITY : signed.notAfterMs + statementSkewMs;
    state.hear({ endpoint, serial: signed?.serial, endsMs });
  } catch (error) {
    log.debug("endpoint refused", { subject: published.subject.slice(0, 200), why: messageOf(error) });
  }
}

/** Reads the messages of a request, in whichever records the journal has them. */
import { digestOf } from "../core/digest.js";
import { AshlarError } from "../core/errors.js";
import { messagesKey } from "../core/journal/journal-key.js";
import type { JournalEntry } from "../core/wire/journal/entry.js";
import { parseMessages } from "../core/wire/journal/messages.js";
import { Backoff } from "./backoff.js";
import type { StoredMessage, StoredQuery } from "./bus.js";
import type { Clock } from "./clock.js";

export interface RequestDeps {
  readonly get: (query: StoredQuery) => Promise<StoredMessage | undefined>;
  readonly clock: Clock;
  readonly random: () => number;
}

const atOnceMax = 16;
/**
 * The milliseconds to wait for a lagging replica: one that has the closing entry will soon have everything before it.
 */
const lagMsMax = 5000;
const poll = { msMin: 2, msMax: 200 };

/**
 * Returns an entry's messages with gRPC's framing. The entry is signed and names the digest of each record, so the
 * records need no other proof. Fails with `invalid_record` if a record was changed, and with `unavailable` if it has
 * not arrived yet.
 */
export async function requestOf(
  deps: RequestDeps,
  { request, streamed, nonce }: Pick<JournalEntry, "request" | "streamed" | "nonce">,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (streamed === undefined) return request;
  const parts: Uint8Array[] = [];
  for (let at = 0; at < streamed.messages.length; at += atOnceMax) {
    const asked = streamed.messages.slice(at, at + atOnceMax).map(async ({ sequence, digest }) => {
      const { data } = await certain(deps, sequence, signal);
      if (digestOf(data) !== digest) throw changed(sequence);
      return parseMessages(data, undefined, messagesKey(nonce)).messages;
    });
    parts.push(...(await Promise.all(asked)));
  }
  const whole = Buffer.concat(parts);
  if (digestOf(whole) !== streamed.digest || whole.length !== streamed.bytes)
    throw changed(streamed.messages[0]?.sequence ?? 0);
  return whole;
}

const changed = (sequence: number): AshlarError =>
  new AshlarError("invalid_record", `messages of a stream at sequence ${sequence} are not what they were`);

async function certain(
  { get, clock, random }: RequestDeps,
  sequence: number,
  signal: AbortSignal,
): Promise<StoredMessage> {
  const backoff = new Backoff(poll, random);
  const untilMs = clock.monotonicMs() + lagMsMax;
  for (;;) {
    const found = await get({ sequence });
    if (found !== undefined) return found;
    if (clock.monotonicMs() >= untilMs || signal.aborted)
      throw new AshlarError("unavailable", `messages of a stream at sequence ${sequence} of the journal are not there`);
    await clock.sleep(backoff.nextMs(), signal);
  }
}

/**
 * The streams of data keys: one for each service with private fields. They are the only streams whose messages can be
 * erased.
 */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { journalKeySubject, journalKeysStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import { keysBytesMax } from "../../runtime/nats-account-setup.js";
import { specFaults } from "./spec-faults.js";

const keyBytesMax = 4096;

/** A service as a policy wants it. */
export interface WantedKeys {
  readonly service: string;
  /** True if the service has private fields, whose data keys have a stream of their own. */
  readonly hasPrivate?: boolean;
}

/**
 * Returns the required configuration: a data key is written once, nothing is dropped by age, number or size, and a full
 * stream refuses. Keys are erased one by one.
 */
function keysSpec(service: string, replicas: number): StreamSpec {
  return {
    name: journalKeysStream(service),
    subjects: [journalKeySubject(service, "*", "*")],
    replicas,
    discard: "new",
    discardNewPerSubject: true,
    maxMessagesPerSubject: 1,
    maxBytes: keysBytesMax,
    maxMessageBytes: keyBytesMax,
    denyDelete: false,
    denyPurge: true,
    allowDirect: true,
    republish: undefined,
  };
}

const keysFaults = (service: string, found: StreamInfo) => specFaults(keysSpec(service, 1), found);

/** Returns whether the data keys of `wanted` can be stored in the stream that was found, or are not needed. */
export function areKeysReady({ service, hasPrivate }: WantedKeys, found: StreamInfo | undefined): boolean {
  return hasPrivate !== true || (found !== undefined && keysFaults(service, found).length === 0);
}

/**
 * Creates the stream if it does not exist. Fails with `unavailable`, and with `invalid_argument` if the existing stream
 * has another configuration.
 */
export async function ensureKeys(bus: Bus, { service, hasPrivate }: WantedKeys, replicas: number): Promise<void> {
  if (hasPrivate !== true) return;
  const name = journalKeysStream(service);
  if ((await bus.streamInfo(name)) === undefined)
    await bus.createStream(keysSpec(service, replicas)).catch((error: unknown) => {
      // another control plane has just created it; it is checked below
      if (!isAshlarError(error, "exists")) throw error;
    });
  const info = await bus.streamInfo(name);
  if (info === undefined) throw new AshlarError("unavailable", `stream ${name} was created and is not there`);
  const faults = keysFaults(service, info);
  if (faults.length > 0)
    throw new AshlarError("invalid_argument", `stream ${name} is not what data keys need: ${faults.join("; ")}`);
}

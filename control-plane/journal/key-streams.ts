/** The streams of data keys: one a service with private fields, the only ones of which a message can be erased. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { journalKeySubject, journalKeysStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import { keysBytesMax } from "../../runtime/nats-account-setup.js";
import { specFaults } from "./spec-faults.js";

const keyBytesMax = 4096;

/** A service as a policy wants it. */
export interface WantedKeys {
  readonly service: string;
  /** It has private fields, whose data keys have a stream of their own. */
  readonly hasPrivate?: boolean;
}

/** A data key is written once, none goes by age, number or size, and a full stream refuses; what is erased is erased by hand. */
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

/** Whether the data keys of `wanted` can be stored in the stream that was found, or it needs none. */
export function areKeysReady({ service, hasPrivate }: WantedKeys, found: StreamInfo | undefined): boolean {
  return hasPrivate !== true || (found !== undefined && keysFaults(service, found).length === 0);
}

/** Creates the stream if it is not there. Fails with `unavailable`, and with `invalid_argument` if another one is there. */
export async function ensureKeys(bus: Bus, { service, hasPrivate }: WantedKeys, replicas: number): Promise<void> {
  if (hasPrivate !== true) return;
  const name = journalKeysStream(service);
  if ((await bus.streamInfo(name)) === undefined)
    await bus.createStream(keysSpec(service, replicas)).catch((error: unknown) => {
      if (!isAshlarError(error, "exists")) throw error; // another control plane has just made it: it is checked below
    });
  const info = await bus.streamInfo(name);
  if (info === undefined) throw new AshlarError("unavailable", `stream ${name} was created and is not there`);
  const faults = keysFaults(service, info);
  if (faults.length > 0)
    throw new AshlarError("invalid_argument", `stream ${name} is not what data keys need: ${faults.join("; ")}`);
}

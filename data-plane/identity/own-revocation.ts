/**
 * Reports in the log, in /readyz and at the start that this proxy's own certificate is revoked. NATS may close the
 * connection of a revoked proxy before it has read the revocation; the proxy then asks a control plane for the trust
 * log.
 */

import { AshlarError, messageOf } from "../../core/errors.js";
import type { Revocation } from "../../core/model.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type ContactDeps, contactAny, type KnownTrust, learnTrust } from "../../runtime/mesh-contact.js";
import type { IdentityView, TrustView } from "../ports.js";

export interface OwnRevocationDeps {
  readonly identity: IdentityView;
  readonly trust: Pick<TrustView, "onChange">;
  readonly reader: { revocationOf(serial: string): Revocation | undefined };
  readonly bus: Pick<Bus, "connected" | "onStatus">;
  /** Returns the control planes' join listeners. */
  readonly contacts: () => readonly (ContactDeps & { readonly known: KnownTrust })[];
  /** Verifies a trust record and applies it. */
  readonly receive: (trust: Uint8Array) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

export interface OwnRevocation {
  /** Returns one line with the time, the reason and the remedy, or undefined if no revocation is known. */
  readonly why: string | undefined;
}

/**
 * The milliseconds that NATS may be away before a control plane is asked, random between the two, so that a fleet does
 * not ask at once.
 */
const awayMs = { min: 2000, max: 12_000 };
/** Milliseconds between further questions while NATS stays away. */
const againMs = 600_000;

/** Watches until `signal` aborts. */
export function watchOwnRevocation(deps: OwnRevocationDeps, signal: AbortSignal): OwnRevocation {
  const { identity, trust, reader, log } = deps;
  let said = "";
  const watch: OwnRevocation = {
    get why() {
      const { serial, service } = identity.current;
      const revocation = reader.revocationOf(serial);
      return revocation && render(revocation, service);
    },
  };
  const say = (): void => {
    const { why } = watch;
    if (why !== undefined && why !== said) log.error(why);
    said = why ?? "";
  };
  const offs = [trust.onChange(say), identity.onRotate(say)];
  onAbort(signal, () => {
    for (const off of offs) off();
  });
  say();
  void askWhileAway(deps, signal);
  return watch;
}

async function askWhileAway(deps: OwnRevocationDeps, signal: AbortSignal): Promise<void> {
  const { bus, clock, random, receive, log } = deps;
  while (!signal.aborted) {
    if (bus.connected) await untilAway(bus, signal);
    await clock.sleep(awayMs.min + random() * (awayMs.max - awayMs.min), signal);
    if (bus.connected || signal.aborted) continue;
    try {
      receive(await readTrust(deps.contacts(), signal));
    } catch (error) {
      log.debug("the trust log was not read from a control plane", { why: messageOf(error) });
    }
    const back = new AbortController();
    const off = bus.onStatus(({ connected }) => connected && back.abort());
    await clock.sleep(againMs, AbortSignal.any([signal, back.signal]));
    off();
  }
}

/** Returns the newest trust record of the first control plane that answers. Fails as the last of them does. */
async function readTrust(
  contacts: ReturnType<OwnRevocationDeps["contacts"]>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const byAddress = new Map(contacts.map((contact) => [contact.address, contact]));
  const read = async (address: string): Promise<Uint8Array> => {
    const contact = byAddress.get(address);
    if (contact === undefined) throw new AshlarError("internal", `no contact at ${address}`);
    return (await learnTrust(contact, contact.known, signal)).trust.bytes;
  };
  return contactAny([...byAddress.keys()], read, (failures) => failures.at(-1));
}

function untilAway(bus: Pick<Bus, "onStatus">, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const off of offs) off();
      resolve();
    };
    const offs = [bus.onStatus(({ connected }) => connected || done())];
    offs.push(onAbort(signal, done));
  });
}

function render({ serial, reason, timeMs }: Revocation, service: string): string {
  const why = reason === "" ? "no reason was given" : reason;
  return (
    `this proxy's certificate ${serial} was revoked at ${new Date(timeMs).toISOString()} (${why}): other proxies refuse it, ` +
    `and nothing that it says counts. \`ashlar audit\` says who revoked it; to let ${service} in again, start it with a new ` +
    `join token and an empty --data folder`
  );
}

/**
 * Gives a control plane that was started with `--join` its place in an existing mesh, and keeps that place up to date.
 */

import { createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AshlarError, messageOf } from "../../core/errors.js";
import { buildSpiffeId } from "../../core/identity.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { fileReason } from "../../runtime/file-reason.js";
import { parseJoinToken } from "../../runtime/join-token.js";
import type { Logger } from "../../runtime/log.js";
import { contactAny, joinAddresses, mayHeal } from "../../runtime/mesh-contact.js";
import { isShared } from "../../runtime/nats-accounts.js";
import { generatePrivateKeyPem } from "../../runtime/tls-identity-keys.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import type { MembershipConfig, UpConfig } from "../config.js";
import type { Authority } from "../identity/authority.js";
import { readMeshOf } from "../identity/authority-file.js";
import { dayMs } from "../identity/ca-certificates.js";
import type { NatsAccess } from "../nats/nats-access.js";
import { hasBegunToJoin, openMemberKeys, readPlace, type StoredPlace, savePlace, storePlace } from "./member-files.js";
import type { Members } from "./members.js";
import { joinAsControlPlane, type MemberPlace, renewMembership } from "./membership-client.js";

interface JoinDeps {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

interface JoinFile {
  readonly addresses: readonly string[];
  readonly rootHash: string;
}

/**
 * Returns the failure to report: a permanent one, such as a wrong token, rather than one that may pass, such as an
 * unreachable host.
 */
const chooseFinal = (failures: readonly unknown[]): unknown =>
  failures.find((failure) => !mayHeal(failure)) ?? failures[0];

const joinFileBytesMax = 64 * 1024;
const replaceIntermediateMs = 180 * dayMs;

/**
 * Returns this control plane's place in a mesh that another one began; undefined: the mesh is or will be its own. A
 * stored place wins over the token. Joining waits for a control plane that is away. Fails with one clear line on a
 * wrong, used or expired token, and on a folder that has another role already.
 */
export async function openPlace(
  config: UpConfig,
  deps: JoinDeps,
  signal: AbortSignal,
): Promise<StoredPlace | undefined> {
  const { membership } = config;
  const mesh = readMeshOf(deps.dir);
  if (mesh === undefined) {
    if (membership !== undefined) return join(membership, config.mesh, deps, signal);
    if (!hasBegunToJoin(deps.dir)) return undefined;
    throw new AshlarError(
      "invalid_argument",
      `the data folder ${deps.dir} began to join a mesh: give --join and --token`,
    );
  }
  const place = readPlace(deps.dir);
  if (membership !== undefined && place === undefined) {
    throw new AshlarError(
      "conflict",
      `the data folder ${deps.dir} holds the root key of mesh ${mesh}: give another --data to join a mesh`,
    );
  }
  const file = membership === undefined ? undefined : await readJoinFile(membership.joinFile).catch(() => undefined);
  if (file !== undefined && file.rootHash !== place?.rootHash) {
    throw new AshlarError(
      "conflict",
      `the data folder ${deps.dir} belongs to another mesh than --join ${membership?.joinFile}`,
    );
  }
  return place;
}

async function readJoinFile(path: string): Promise<JoinFile> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > joinFileBytesMax) throw new Error("it is too long");
    const { join: listed, joins = [], rootHash } = JSON.parse(text) as Record<string, unknown>;
    if (typeof listed !== "string" || typeof rootHash !== "string" || !/^[0-9a-f]{64}$/.test(rootHash)) {
      throw new Error("join and rootHash are wanted");
    }
    const more = Array.isArray(joins) ? joins.filter((one) => typeof one === "string") : [];
    return { addresses: joinAddresses(listed, more), rootHash };
  } catch (cause) {
    throw new AshlarError("invalid_argument", `--join: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

async function readToken(path: string | undefined): Promise<string> {
  if (path === undefined) throw new AshlarError("invalid_argument", "--join needs --token FILE the first time");
  try {
    const token = (await readFile(path, "utf8")).trim();
    if (token === "") throw new Error("it is empty");
    return token;
  } catch (cause) {
    throw new AshlarError("invalid_argument", `--token: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

async function join(
  { joinFile, tokenFile }: MembershipConfig,
  asked: string | undefined,
  { dir, clock, log }: JoinDeps,
  signal: AbortSignal,
): Promise<StoredPlace> {
  const { addresses, rootHash } = await readJoinFile(joinFile);
  const token = await readToken(tokenFile);
  const { mesh, rootHash: pinned } = parseJoinToken(token);
  if (pinned !== rootHash) {
    throw new AshlarError("unauthenticated", "the token and the --join file are of different meshes");
  }
  if (asked !== undefined && asked !== mesh) {
    throw new AshlarError("invalid_argument", `--mesh ${asked}: the token is of mesh ${mesh}`);
  }
  const keys = openMemberKeys(dir);
  const joinAt = (address: string) => joinAsControlPlane({ address, rootHash, clock }, { token, keys, mesh }, signal);
  const backoff = new Backoff({ msMin: 200, msMax: 10_000 });
  for (;;) {
    try {
      const place = await contactAny(addresses, joinAt, chooseFinal);
      log.info("joined the mesh", { mesh, controlPlane: place.name });
      return storePlace(
        dir,
        { ...place, joinAddresses: [...new Set([...place.joinAddresses, ...addresses])] },
        keys,
        rootHash,
      );
    } catch (error) {
      if (signal.aborted) throw new AshlarError("unavailable", "stopped before it could join");
      if (!mayHeal(error)) throw error;
      log.warn(`cannot join at ${addresses.join(", ")}: trying again`, { why: messageOf(error) });
    }
    await clock.sleep(backoff.nextMs(), signal);
  }
}

export interface KeepDeps extends JoinDeps {
  readonly authority: Authority;
  readonly members: Members;
  /** The own join listener. */
  readonly joinAddress: string;
  readonly nats: Pick<NatsAccess, "servers" | "useAccounts"> & { readonly bus: Pick<Bus, "onStatus"> };
}

/** Notes in the audit log that this control plane has joined the mesh. */
export function noteJoined(audit: AuditTrail, { mesh, name, signer }: Authority): Promise<void> {
  const actor = buildSpiffeId(mesh, "control-plane", name);
  const target = `control plane ${name}`;
  return audit.record({
    actor,
    source: "",
    action: "join",
    target,
    outcome: "ok",
    detail: `signing key ${signer.kid}`,
  });
}

/**
 * Tells the control plane that began the mesh where this one listens, and takes over what that one says about the
 * others and about NATS: at start, once a day, and when NATS comes back, possibly with other accounts. Replaces the
 * intermediate CA half a year before it expires. While that control plane is away, everything else continues. Returns a
 * function that stops it.
 */
export function startKeeping(place: StoredPlace, deps: KeepDeps): () => Promise<void> {
  const stop = new AbortController();
  const keeping = keep(place, deps, stop.signal);
  return async () => {
    stop.abort();
    await keeping;
  };
}

async function keep(place: StoredPlace, deps: KeepDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps;
  const backoff = new Backoff({ msMin: 1000, msMax: 300_000 });
  let known = place;
  let wake = new AbortController();
  const stopStatus = deps.nats.bus.onStatus(({ connected }) => connected && wake.abort());
  onAbort(signal, stopStatus);
  while (!signal.aborted) {
    wake = new AbortController();
    try {
      known = await renew(known, deps, signal);
      backoff.reset();
      await clock.sleep(dayMs, AbortSignal.any([signal, wake.signal]));
    } catch (error) {
      if (signal.aborted) return;
      log[mayHeal(error) ? "debug" : "error"]("this control plane's place is not renewed", { why: messageOf(error) });
      await clock.sleep(backoff.nextMs(), signal);
    }
  }
}

async function renew(place: StoredPlace, deps: KeepDeps, signal: AbortSignal): Promise<StoredPlace> {
  const { dir, clock, log, authority, members, joinAddress, nats } = deps;
  const { rootHash } = place;
  const caKeyPem = generatePrivateKeyPem();
  const others = [...new Set([...members.addresses(), ...place.joinAddresses])].filter((at) => at !== joinAddress);
  const next = await askAny(others, { ...deps, rootHash, caKeyPem, joinAddress }, signal);
  if (authority.intermediateEndsMs - clock.nowMs() < replaceIntermediateMs) {
    authority.useIntermediate(next.intermediate, createPrivateKey(caKeyPem));
    log.info("the intermediate CA was replaced", { ends: new Date(authority.intermediateEndsMs).toISOString() });
  }
  members.replace(next.joinAddresses);
  if (
    next.natsServers.join() !== place.natsServers.join() &&
    !next.natsServers.some((one) => nats.servers.includes(one))
  ) {
    log.warn("the addresses of NATS changed: restart this control plane to use them", { servers: next.natsServers });
  }
  const stored = savePlace(dir, { ...next, rootHash });
  if (next.natsAccounts.mesh.publicKey !== place.natsAccounts.mesh.publicKey) {
    log.info("the mesh now has a NATS account of its own: using it");
    await nats.useAccounts(next.natsAccounts);
  }
  return stored;
}

interface Asking extends Pick<KeepDeps, "authority" | "clock"> {
  readonly rootHash: string;
  /** The key of the requested intermediate CA. */
  readonly caKeyPem: string;
  /** The own join listener; "": not known yet. */
  readonly joinAddress: string;
}

function askAny(addresses: readonly string[], asking: Asking, signal: AbortSignal): Promise<MemberPlace> {
  const { authority, clock, rootHash, caKeyPem, joinAddress } = asking;
  const prover = { signer: authority.signer, caKeyPem };
  const renewAt = (address: string) => renewMembership({ address, rootHash, clock }, { prover, joinAddress }, signal);
  return contactAny(addresses, renewAt, chooseFinal);
}

/**
 * Returns the place as the control plane that began the mesh states it now, if the stored one has only one NATS
 * account: the mesh may have got a second one, without which nothing here could reach the streams. Returns the stored
 * place if nobody answers.
 */
export async function refreshPlace(
  place: StoredPlace,
  { dir, clock, log, authority }: JoinDeps & Pick<KeepDeps, "authority">,
  signal: AbortSignal,
): Promise<StoredPlace> {
  if (!isShared(place.natsAccounts)) return place;
  try {
    const asking = { authority, clock, rootHash: place.rootHash, caKeyPem: generatePrivateKeyPem(), joinAddress: "" };
    const { natsAccounts } = await askAny(place.joinAddresses, asking, signal);
    return savePlace(dir, { ...place, natsAccounts });
  } catch (error) {
    log.warn("the control plane that began the mesh cannot be asked about NATS: using the addresses known so far", {
      why: messageOf(error),
    });
    return place;
  }
}

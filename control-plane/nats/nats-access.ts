/** This control plane's connections to NATS, and the users that it mints for itself and for proxies. */
import { AshlarError } from "../../core/errors.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { connectNats } from "../../runtime/nats.js";
import { isShared, type NatsAccount, type NatsAccounts } from "../../runtime/nats-accounts.js";
import {
  bootstrapPermissions,
  controlPlanePermissions,
  type NatsPermissions,
  type NatsUserLimits,
  proxyLimits,
  proxyPermissions,
} from "../../runtime/nats-permissions.js";
import { createNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";
import { bootstrapStreams, boundsDefault } from "../store/streams.js";
import { isOff } from "./disk-room.js";
import { findBounds, fitToDisk } from "./stream-room.js";

export interface NatsAccessOptions {
  readonly servers: readonly string[];
  readonly accounts: NatsAccounts;
  /** True for a cluster that Ashlar does not run. Its streams get three replicas if it has enough servers. */
  readonly isCluster: boolean;
  /** Bounds of the stream of decisions when it is created; undefined means the default. */
  readonly decisionBytes?: number | undefined;
  readonly decisionAgeMs?: number | undefined;
  /** The folder of the server that Ashlar runs, whose disk bounds the streams; undefined for a cluster. */
  readonly storeDir?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: (count: number) => Uint8Array;
}

export interface NatsAccess {
  readonly servers: readonly string[];
  /** The connection with the daily credential, which can append and read but not change a stream. */
  readonly bus: Bus;
  /** Creates and checks the streams with a credential that is valid for 15 minutes and used for nothing else. */
  bootstrap(signal: AbortSignal): Promise<void>;
  /** Runs `work` with a credential that has these permissions, is valid for 15 minutes and is used for nothing else. */
  once(permissions: (inboxPrefix: string) => NatsPermissions, signal: AbortSignal, work: OneTimeWork): Promise<void>;
  /**
   * Sets the bounds of the streams of Ashlar's own server to what fits its disk at this moment. Does nothing in a
   * cluster.
   */
  fitStreams(signal: AbortSignal): Promise<void>;
  /** Returns whether control planes and proxies are users of one account. */
  isShared(): boolean;
  /** Switches to users of other accounts, after the mesh got an account of its own while this control plane ran. */
  useAccounts(accounts: NatsAccounts): Promise<void>;
  /** Returns the JWT of a proxy's user. */
  mintProxyUser(user: string, service: string, proxyId: string, expiresMs: number): Promise<string>;
  close(): Promise<void>;
}

type OneTimeWork = (bus: Bus) => Promise<unknown>;

const dailyMs = 24 * 3_600_000;
const remintMs = 3_600_000;
const bootstrapMs = 15 * 60_000;
const replicasMax = 3;

/** Connects in the background and retries until `close` is called. */
export async function openNatsAccess(options: NatsAccessOptions): Promise<NatsAccess> {
  const { clock, log } = options;
  let { accounts } = options;
  const inboxPrefix = `_INBOX_cp${Buffer.from(options.random(9)).toString("hex")}`;
  const mint = (
    { seed, publicKey }: NatsAccount,
    user: { readonly name: string; readonly userPublicKey: string; readonly expiresMs: number },
    permissions: NatsPermissions,
    limits?: NatsUserLimits,
  ) => mintUser({ ...user, accountSeed: seed, accountPublicKey: publicKey, permissions, ...(limits && { limits }) });
  const key = createNatsUserKey();
  const mintDaily = () => {
    const user = { name: "control-plane", userPublicKey: key.publicKey, expiresMs: clock.nowMs() + dailyMs };
    return mint(accounts.mesh, user, controlPlanePermissions(inboxPrefix));
  };
  let jwt = await mintDaily();
  const stop = new AbortController();
  const reminting = (async () => {
    for (;;) {
      await clock.sleep(remintMs, stop.signal);
      if (stop.signal.aborted) return;
      jwt = await mintDaily(); // used when the server ends the old connection and the client reconnects
    }
  })();
  const connection = { servers: options.servers, inboxPrefix, log, clock };
  const bus = connectNats({ ...connection, jwt: () => jwt, seed: () => key.seed, name: "control-plane" });
  const asOneTimeUser: NatsAccess["once"] = async (permissions, signal, work) => {
    const own = createNatsUserKey();
    const expiresMs = clock.nowMs() + bootstrapMs;
    const user = { name: "bootstrap", userPublicKey: own.publicKey, expiresMs };
    const once = await mint(accounts.mesh, user, permissions(inboxPrefix));
    const name = "control-plane-bootstrap";
    const bootstrapBus = connectNats({ ...connection, jwt: () => once, seed: () => own.seed, name });
    try {
      await bootstrapBus.whenConnected(AbortSignal.any([signal, stop.signal]));
      await work(bootstrapBus);
    } finally {
      await bootstrapBus.close();
    }
  };
  const withBootstrapUser = (signal: AbortSignal, work: OneTimeWork) =>
    asOneTimeUser(bootstrapPermissions, signal, work);
  return {
    servers: options.servers,
    bus,
    once: asOneTimeUser,
    mintProxyUser: (userPublicKey, service, proxyId, expiresMs) =>
      mint(
        accounts.proxies,
        { name: proxyId, userPublicKey, expiresMs },
        proxyPermissions(service, proxyId),
        proxyLimits,
      ),
    isShared: () => isShared(accounts),
    async useAccounts(next) {
      accounts = next;
      jwt = await mintDaily();
      bus.reconnect();
    },
    bootstrap: (signal) => withBootstrapUser(signal, (bootstrapBus) => createStreams(bootstrapBus, options)),
    async fitStreams(signal) {
      const { storeDir, decisionBytes } = options;
      if (storeDir === undefined || !bus.connected) return;
      const { now, fitting } = await findBounds(bus, storeDir, decisionBytes);
      if (!isOff(now, fitting)) return;
      await withBootstrapUser(signal, (bootstrapBus) => fitToDisk(bootstrapBus, storeDir, decisionBytes));
      log.info("streams are bounded by what the disk has room for", { ...fitting });
    },
    async close() {
      stop.abort();
      await bus.close();
      await reminting;
    },
  };
}

/**
 * Returns three replicas if the cluster has three servers. A single server gets one replica, and a warning is logged.
 */
async function createStreams(bus: Bus, options: NatsAccessOptions): Promise<void> {
  const { isCluster, storeDir, decisionBytes, decisionAgeMs, log } = options;
  if (!isCluster) {
    const bounds = storeDir === undefined ? undefined : (await findBounds(bus, storeDir, decisionBytes)).fitting;
    await bootstrapStreams(bus, { bounds, decisionAgeMs, replicas: 1 });
    if (storeDir !== undefined) await fitToDisk(bus, storeDir, decisionBytes);
    return;
  }
  const bounds = {
    bounds: { ...boundsDefault, ...(decisionBytes !== undefined && { decisions: decisionBytes }) },
    decisionAgeMs,
  };
  try {
    await bootstrapStreams(bus, { ...bounds, replicas: replicasMax });
  } catch (error) {
    if (!(error instanceof AshlarError) || !bus.connected) throw error;
    try {
      await bootstrapStreams(bus, { ...bounds, replicas: 1 });
    } catch {
      throw error;
    }
    log.warn("NATS cannot hold three replicas: the streams have one", { why: error.message });
  }
}

/** A proxy without listeners: it joins, follows the logs and sends heartbeats as every proxy does. */
import { mkdirSync } from "node:fs";
import { joinOrLoad, openParts, type Parts } from "../../data-plane/app-parts.js";
import { parseProxyConfig } from "../../data-plane/config.js";
import type { OpenedIdentity } from "../../data-plane/identity/proxy-identity.js";
import { Tenure } from "../../data-plane/takeover/tenure.js";
import { silentLogger } from "../../runtime/log.js";

export interface SubscriberOptions {
  /** The path of its data folder. */
  readonly dir: string;
  /** The path of the join file. */
  readonly join: string;
  readonly service: string;
  readonly token: string;
  /** The URL of NATS. undefined: the one that it got when it joined. */
  readonly nats?: string;
}

/** Joins and opens the parts. Nothing is followed before `follow`. Certificates are renewed until the signal aborts. */
export async function openSubscriber(options: SubscriberOptions, signal: AbortSignal): Promise<Parts> {
  const { dir, join, service, token, nats } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const flags = { service, token: "-", join, data: dir, outbound: `unix:${dir}/out.sock` };
  const config = parseProxyConfig({ flags, env: {}, file: {} }, dir);
  const surroundings = {
    log: silentLogger,
    logFormat: "json" as const,
    spawnWorker: () => {
      throw new Error("a subscriber has no workers");
    },
    readStdin: async () => token,
  };
  const tenure = new Tenure("owner");
  const identity = await joinOrLoad(config, surroundings, tenure, signal, signal);
  const reached = nats === undefined ? identity : reachedAt(identity, nats);
  return openParts(config, reached, surroundings, tenure, undefined, signal);
}

/** Begins to follow the logs and to send heartbeats. */
export async function follow({ bus, sync, reporter }: Parts, signal: AbortSignal): Promise<void> {
  await bus.whenConnected(signal);
  sync.start();
  reporter.start("127.0.0.1:9");
}

/** Returns the same identity with another URL of NATS. */
function reachedAt(identity: OpenedIdentity, url: string): OpenedIdentity {
  return {
    get current() {
      return { ...identity.current, natsServers: [url] };
    },
    get bootstrap() {
      return identity.bootstrap;
    },
    get renewalProblem() {
      return identity.renewalProblem;
    },
    contacts: identity.contacts,
    stopped: identity.stopped,
    onRotate: (listener) => identity.onRotate(listener),
    onBootstrap: (listener) => identity.onBootstrap(listener),
    reportSeen: (seen) => identity.reportSeen(seen),
    renew: () => identity.renew(),
    issueReader: (csr) => identity.issueReader(csr),
  };
}

/** The event feed of a proxy that accepts calls of others. */
import type { KeySet } from "../../core/signature.js";
import { keySetOf } from "../../core/wire/records.js";
import { onAbort } from "../../runtime/abort.js";
import type { Parts } from "../app-parts.js";
import type { ProxyConfig } from "../config.js";
import { freeFeedPath, openFeed } from "./open-feed.js";

export interface ProxyFeed {
  /** The path of its socket. */
  readonly path: string;
  /** Ends the open feeds and accepts no more. */
  end(): void;
}

/**
 * Serves until `signal` aborts. Returns undefined if the proxy accepts no calls of others. Fails with `unavailable`.
 */
export async function openProxyFeed(
  { dataDir, service, inbound }: Pick<ProxyConfig, "dataDir" | "service" | "inbound">,
  { bus, clock, log, reader, identity, sync }: Parts,
  signal: AbortSignal,
): Promise<ProxyFeed | undefined> {
  if (inbound === undefined) return undefined;
  const path = await freeFeedPath(dataDir);
  const keys = (): KeySet => (sync.trusting === undefined ? new Map() : keySetOf(sync.trusting.body));
  const { mesh } = identity.current;
  const server = await openFeed({ bus, clock, log, reader, mesh, keys, random: Math.random }, service, path);
  const end = (): void => void server.stop(0);
  onAbort(signal, end);
  return { path, end };
}

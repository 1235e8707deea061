import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { Metrics } from "../status/metrics.js";

/** Carries a proxy's calls: in this process, or in workers. */
export interface Carrying {
  /** Takes calls of other proxies there; gives the address with its real port. Fails with `unavailable` when it is taken. */
  listenInbound(address: HostPort): Promise<HostPort>;
  /** Takes calls of the own application there; `index`: of the outbound listener. Fails as `listenInbound` does. */
  listenOutbound(index: number, address: SocketAddress): Promise<void>;
  /** Resolves when no call is open at the application, or when `signal` aborts. */
  whenIdle(signal: AbortSignal): Promise<void>;
  /** Takes no new connection and asks clients to go elsewhere; resolves when the last call has ended. */
  drain(): Promise<void>;
  /** Closes everything at once; calls that are open are told why they end. Resolves when nothing runs any more. */
  close(): Promise<void>;
  /** Why it should not be sent calls, one line each; empty: it may. */
  reasonsNotReady(): readonly string[];
  readonly metrics: Pick<Metrics, "watch" | "render" | "contentType">;
}

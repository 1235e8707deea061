import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { ToldCarrying } from "../look/call-teller.js";
import type { Metrics } from "../status/metrics.js";

/** Carries a proxy's calls, in this process or in worker processes. */
export interface Carrying extends ToldCarrying {
  /**
   * Listens for calls of other proxies. Returns the address with its real port. Fails with `unavailable` if the port is
   * taken.
   */
  listenInbound(address: HostPort): Promise<HostPort>;
  /**
   * Listens for calls of the application or of outside clients. `index` is that of the outbound listener. Returns the
   * address with its real port. Fails as `listenInbound` does.
   */
  listenOutbound(index: number, address: SocketAddress): Promise<SocketAddress>;
  /** Resolves when no call is open at the application, or when `signal` aborts. */
  whenIdle(signal: AbortSignal): Promise<void>;
  /** Accepts no new connection and sends GOAWAY to clients. Resolves when the last call has ended. */
  drain(): Promise<void>;
  /** Closes everything at once. Open calls end with a reason. Resolves when nothing runs any more. */
  close(): Promise<void>;
  /** Returns the reasons why the proxy should not be sent calls, one line each. Empty: there is no reason. */
  reasonsNotReady(): readonly string[];
  readonly metrics: Pick<Metrics, "watch" | "render">;
}

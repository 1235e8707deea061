/** Waits until every live proxy evaluates the target. */
import { AshlarError } from "../core/errors.js";
import type { Clock } from "../runtime/clock.js";
import type { AdminClient, ProxyInfo, RolloutInfo } from "./client.js";
import { renderNames, silentOf } from "./fleet-progress.js";
import { plain } from "./output.js";

export type FleetTarget =
  | { readonly kind: "epoch"; readonly epoch: number }
  | { readonly kind: "revision"; readonly revision: number };

export interface FleetReport {
  /** Live proxies that do not evaluate the target yet. */
  readonly behind: readonly ProxyInfo[];
  /** Proxies that went silent without leaving, and so were not waited for. */
  readonly silent: readonly ProxyInfo[];
  readonly live: number;
  /** The head of the activation log. */
  readonly epoch: number;
  readonly revision: number;
  /** True if the target is the head and no proxy is behind. */
  readonly reached: boolean;
  /** The rollout that is underway, during which proxies evaluate two revisions. */
  readonly rollout: RolloutInfo | undefined;
}

const pollMs = 50;
/** The milliseconds after which progress is shown. */
const quietMs = 1000;

export interface AwaitFleetDeps {
  readonly admin: Pick<AdminClient, "listProxies" | "getStatus">;
  readonly clock: Clock;
  /** Shows which proxies are waited for. */
  progress?(text: string): void;
}

/** Polls until `target` is active and every live proxy evaluates it, or `timeoutMs` ends. */
export async function awaitFleet(deps: AwaitFleetDeps, target: FleetTarget, timeoutMs: number): Promise<FleetReport> {
  const startMs = deps.clock.monotonicMs();
  const endMs = startMs + timeoutMs;
  for (;;) {
    const [status, { proxies }] = await Promise.all([deps.admin.getStatus({}), deps.admin.listProxies({})]);
    const live = proxies.filter((proxy) => proxy.live);
    const behind = live.filter((proxy) => !evaluates(proxy, target));
    const { epoch, revision, rollout } = status;
    const reached = behind.length === 0 && evaluates({ epoch, revision }, target);
    const leftMs = endMs - deps.clock.monotonicMs();
    const silent = silentOf(proxies);
    if (reached || leftMs <= 0) return { behind, silent, live: live.length, epoch, revision, reached, rollout };
    if (behind.length > 0 && deps.clock.monotonicMs() - startMs >= quietMs)
      deps.progress?.(`waiting for ${behind.length} of ${live.length} live proxies: ${renderNames(behind)}`);
    await deps.clock.sleep(Math.min(pollMs, leftMs));
  }
}

function evaluates(state: { readonly epoch: number; readonly revision: number }, target: FleetTarget): boolean {
  return target.kind === "epoch" ? state.epoch >= target.epoch : state.revision === target.revision;
}

/**
 * Returns the error for a fleet that is not ready in time: it names the proxies that are behind, and why, where that is
 * known.
 */
export function behindError(report: FleetReport, target: FleetTarget, timeoutMs: number): AshlarError {
  const wanted = target.kind === "epoch" ? `epoch ${target.epoch}` : `revision ${target.revision}`;
  const late = `not in force everywhere within ${timeoutMs / 1000} s`;
  const { rollout } = report;
  const beside =
    rollout === undefined || target.kind === "epoch"
      ? ""
      : `; rollout ${rollout.number} brings revision ${rollout.candidate} to some proxies and leaves ${rollout.base} to the others: see \`ashlar rollout status\``;
  if (report.behind.length === 0) {
    const head = `active is revision ${report.revision} at epoch ${report.epoch}`;
    return new AshlarError("deadline", `${wanted} ${late}: ${head}${beside}`);
  }
  const behind = report.behind.map(renderBehind).join(", ");
  return new AshlarError("deadline", `${wanted} ${late}; behind: ${behind}${beside}`);
}

function renderBehind(proxy: ProxyInfo): string {
  const refused =
    proxy.rejectedReason === "" ? "" : `, refused revision ${proxy.rejectedRevision}: ${proxy.rejectedReason}`;
  const state = `at epoch ${proxy.epoch}, has seen ${proxy.seenEpoch}${refused}`;
  return plain(`${proxy.id} (${proxy.service} ${proxy.version}, ${state})`);
}

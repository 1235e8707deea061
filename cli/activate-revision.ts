/** Activates a revision for `apply` and `activate`, and waits for the fleet if asked to. */
import { AshlarError, isAshlarError } from "../core/errors.js";
import { awaitFleet, behindError } from "./await-fleet.js";
import type { Cli } from "./cli.js";
import type { AdminClient } from "./client.js";
import { showPreparing } from "./fleet-progress.js";
import { type OutputFormat, renderJson } from "./output.js";
import { failureOf, renderRollout, rolloutToJson, watchRollout } from "./rollout-progress.js";
import { parsePlan, type StageFlags } from "./stages.js";

export interface ActivationFlags extends StageFlags {
  readonly wait?: boolean;
  readonly force?: boolean;
  /** The share of live proxies that must have prepared the revision, in percent. */
  readonly threshold?: number;
  /** The milliseconds that proxies may take to prepare, and again to switch. */
  readonly timeout: number;
  /** False if the timeout is the default, which does not apply to a rollout. */
  readonly timeoutGiven?: boolean;
}

export interface Activated {
  readonly revision: number;
  readonly epoch: number;
  /** False if the revision was active already. */
  readonly activated: boolean;
  /** Milliseconds from the request to the commit or, with `wait`, until every live proxy evaluates it. */
  readonly tookMs: number;
  /** Ids of live proxies that did not switch in time. */
  readonly behind: readonly string[];
  /** Proxies that went silent without leaving, which were not waited for; only with `wait`. */
  readonly notHeard: readonly { readonly id: string; readonly service: string }[];
  /** The rollout that was begun, in its latest state. */
  readonly rollout?: ReturnType<typeof rolloutToJson>;
  /** Why waiting for the fleet failed; undefined if it succeeded or was not asked for. */
  readonly failure: Error | undefined;
}

/** The longest wait for a rollout, which continues whether anybody waits or not. */
const rolloutWaitMsMax = 24 * 3_600_000;

const nobody = { behind: [], notHeard: [] } as const;

/**
 * Activates a revision. `expectedEpoch`: fail with `conflict` unless this is the head; undefined: whatever the head is.
 */
export async function activateRevision(
  { admin, clock, progress }: Pick<Cli, "clock" | "progress"> & { readonly admin: AdminClient },
  what: { readonly revision: number; readonly reason: string; readonly expectedEpoch?: number },
  flags: ActivationFlags,
): Promise<Activated> {
  const { revision, reason, expectedEpoch } = what;
  const { wait = false, force = false, threshold = 0, timeout, timeoutGiven = false } = flags;
  const startMs = clock.monotonicMs();
  const activation = admin.activateRevision({
    revision,
    reason,
    force,
    thresholdPercent: threshold,
    prepareTimeoutMs: timeout,
    expectedEpoch,
    plan: parsePlan(flags),
    endRollout: flags.endRollout ?? false,
  });
  const response = await showPreparing({ admin, clock, progress }, revision, activation);
  const epoch = response.activation?.epoch ?? 0;
  const result = { revision, epoch, activated: response.created };
  const begun = response.created ? (response.activation?.rollout ?? 0) : 0;
  const took = (): number => Math.round(clock.monotonicMs() - startMs);
  if (begun !== 0) {
    const waitMs = !wait ? 0 : timeoutGiven ? timeout : rolloutWaitMsMax;
    const seen = await watchRollout({ admin, clock }, begun, waitMs, (each) => wait && progress(renderRollout(each)));
    const failure = wait ? failureOf(seen, waitMs) : undefined;
    return { ...result, rollout: rolloutToJson(seen), tookMs: wait ? took() : response.tookMs, ...nobody, failure };
  }
  if (!wait) return { ...result, tookMs: response.tookMs, ...nobody, failure: undefined };
  const target = { kind: "epoch", epoch } as const;
  const report = await awaitFleet({ admin, clock, progress }, target, timeout);
  return {
    ...result,
    tookMs: took(),
    behind: report.behind.map(({ id }) => id),
    notHeard: report.silent.map(({ id, service }) => ({ id, service })),
    failure: report.reached ? undefined : behindError(report, target, timeout),
  };
}

/**
 * Prints, for programs, that a revision is in the log and was not activated, for example because it lacks approvals;
 * the command then ends with `error`. Prints nothing if the control plane cannot be reached any more.
 */
export async function showInactive(
  { cli, admin, output }: { readonly cli: Cli; readonly admin: AdminClient; readonly output: OutputFormat },
  about: Readonly<Record<string, unknown>>,
  error: unknown,
): Promise<void> {
  if (output !== "json" || !isAshlarError(error)) return;
  const status = await admin.getStatus({}).catch(() => undefined);
  if (status === undefined) return;
  const { code, message } = error;
  cli.print(renderJson({ ...about, epoch: status.epoch, activated: false, behind: [], error: { code, message } }));
}

/**
 * Returns the head of the activation log if it has no newer revision than `revision`. Otherwise fails: of two operators
 * who apply at once, the older revision must not become active because its activation came last.
 */
export async function findEpochBelow(admin: AdminClient, revision: number): Promise<number> {
  const { epoch, revision: active, rollout } = await admin.getStatus({});
  const newest = Math.max(active, rollout?.candidate ?? 0);
  if (newest <= revision) return epoch;
  throw new AshlarError(
    "conflict",
    `somebody else was first: revision ${newest} is active at epoch ${epoch}, and is newer`,
  );
}

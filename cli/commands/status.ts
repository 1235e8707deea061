import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { GetStatusResponse, ProxyInfo, RolloutInfo } from "../client.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, plain, renderPairs, renderTime, yesOrNo } from "../output.js";
import { rolloutToJson, summarize } from "../rollout-progress.js";

/**
 * Certificates live for a day and are renewed every hour, so one that expires within this time has not been renewed for
 * long.
 */
const expiringMs = 6 * 3_600_000;

/** Adds `ashlar status`: the state of the mesh in a few lines. */
export function addStatusCommand(program: Command, cli: Cli): void {
  const command = program
    .command("status")
    .description("Show the mesh: epoch, revision, how many proxies are where, and what is wrong.")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const [status, { proxies }] = await cli.withAdmin(self, (admin) =>
        Promise.all([admin.getStatus({}), admin.listProxies({})]),
      );
      const live = proxies.filter((proxy) => proxy.live);
      const nowMs = cli.clock.nowMs();
      const expiring = live.filter((proxy) => proxy.certificateExpiresMs - nowMs < expiringMs);
      const rejecting = live.filter((proxy) => proxy.rejectedReason !== "");
      const noted = { expiring, rejecting, revoked: proxies.filter(({ revokedMs }) => revokedMs !== 0) };
      show(cli, output, statusToJson(status, noted), renderStatus(status, noted));
    });
  withExample(command, "ashlar status -o json");
}

/** Proxies that get a line of their own. */
interface Noted {
  readonly expiring: readonly ProxyInfo[];
  readonly rejecting: readonly ProxyInfo[];
  readonly revoked: readonly ProxyInfo[];
}

function statusToJson(status: GetStatusResponse, { expiring, rejecting, revoked }: Noted) {
  const { mesh, epoch, revision, headRevision, total, prepared, active, behind, rejected } = status;
  return {
    mesh,
    epoch,
    revision,
    headRevision,
    proxies: { total, prepared, active, behind, rejected },
    healthy: status.healthy,
    problems: problemsOf(status),
    bypassable: status.bypassable,
    directReads: status.directReads,
    rejecting: rejecting.map(({ id, service, rejectedRevision, rejectedReason }) => ({
      id,
      service,
      revision: rejectedRevision,
      reason: rejectedReason,
    })),
    expiring: expiring.map(({ id, service, certificateExpiresMs }) => ({
      id,
      service,
      expires: renderTime(certificateExpiresMs),
    })),
    revoked: revoked.map(({ id, service, revokedMs, revokedReason }) => ({
      id,
      service,
      time: renderTime(revokedMs),
      reason: revokedReason,
    })),
    trustSequence: status.trustSequence,
    ...(status.rollout === undefined ? {} : { rollout: rolloutToJson(status.rollout) }),
  };
}

/** Returns the problems of the mesh. A control plane of an earlier version sends only their text. */
function problemsOf({ problems, problemDetails }: GetStatusResponse) {
  if (problemDetails.length === 0) return problems.map((message) => ({ code: "other", message, subject: "" }));
  return problemDetails.map(({ code, message, subject }) => ({ code, message, subject }));
}

function renderRunning(rollout: RolloutInfo): string {
  const waits = rollout.waitsFor.length === 0 ? "" : `; waits for ${rollout.waitsFor.join("; ")}`;
  return plain(`${summarize(rollout).replace(/^rollout /, "")}${waits}`);
}

function renderStatus(status: GetStatusResponse, { expiring, rejecting, revoked }: Noted): string {
  const { total, prepared, active, behind, rejected } = status;
  const newest = status.headRevision === status.revision ? "the newest" : `newest is ${status.headRevision}`;
  const revision =
    status.revision === 0 ? `none active, newest is ${status.headRevision}` : `${status.revision}, ${newest}`;
  return renderPairs([
    ["mesh", status.mesh],
    ["epoch", status.epoch === 0 ? "none yet" : String(status.epoch)],
    ["revision", status.headRevision === 0 ? "none yet" : revision],
    ["proxies", `${total} live: ${prepared} prepared, ${active} active, ${behind} behind, ${rejected} rejecting`],
    ...(status.rollout === undefined ? [] : [["rollout", renderRunning(status.rollout)] as const]),
    ["healthy", yesOrNo(status.healthy)],
    ...problemsOf(status).map(({ message }) => ["problem", plain(message)] as const),
    ...rejecting.map(
      (proxy) =>
        [
          "rejecting",
          plain(`${proxy.id} (${proxy.service}) revision ${proxy.rejectedRevision}: ${proxy.rejectedReason}`),
        ] as const,
    ),
    ...expiring.map(
      (proxy) =>
        [
          "expiring",
          `${proxy.id} (${proxy.service}) certificate at ${renderTime(proxy.certificateExpiresMs)}`,
        ] as const,
    ),
    ...revoked.map(
      (proxy) =>
        [
          "revoked",
          plain(
            `${proxy.id} (${proxy.service}) at ${renderTime(proxy.revokedMs)}${proxy.revokedReason === "" ? "" : `: ${proxy.revokedReason}`}`,
          ),
        ] as const,
    ),
    ...status.bypassable.map((way) => ["bypassable", plain(way)] as const),
    ...status.directReads.map(
      (service) =>
        [
          "direct",
          plain(`reads of ${service}; \`ashlar doctor\` says whose applications have a certificate for it`),
        ] as const,
    ),
  ]);
}

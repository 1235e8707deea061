import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { ProxyConvergence, ProxyInfo } from "../client.js";
import { convergenceToJson, readConvergence } from "../convergence.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime, shortDigest, yesOrNo } from "../output.js";

/** Adds `ashlar proxies`: each proxy with what it reports about itself. */
export function addProxiesCommand(program: Command, cli: Cli): void {
  const command = program
    .command("proxies")
    .description("List proxies: what each evaluates, how fast it switched, when its certificate expires.")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      await cli.withAdmin(self, async (admin) => {
        const { proxies } = await admin.listProxies({});
        const ledger = output === "json" ? await readConvergence(admin) : [];
        const lines = new Map(ledger.map((line) => [line.id, line]));
        const json = proxies.map((proxy) => proxyToJson(proxy, lines.get(proxy.id)));
        show(cli, output, json, renderProxies(proxies));
      });
    });
  withExample(command, "ashlar proxies");
}

function proxyToJson(proxy: ProxyInfo, convergence: ProxyConvergence | undefined) {
  const { id, service, version, epoch, revision, digest, lagMs, seenEpoch, live, active, serving } = proxy;
  return {
    id,
    service,
    version,
    epoch,
    revision,
    digest,
    lagMs,
    certificateExpires: renderTime(proxy.certificateExpiresMs),
    seenEpoch,
    live,
    active,
    serving,
    ...(proxy.endpoint === undefined ? {} : { endpoint: endpointToJson(proxy.endpoint) }),
    ...(proxy.workers === 0 ? {} : { workers: { wanted: proxy.workers, serving: proxy.workersServing } }),
    prepared: proxy.prepared,
    ...(proxy.rejectedReason === ""
      ? {}
      : { rejected: { revision: proxy.rejectedRevision, reason: proxy.rejectedReason } }),
    bypassable: proxy.bypassable,
    ...(proxy.revokedMs === 0 ? {} : { revoked: { time: renderTime(proxy.revokedMs), reason: proxy.revokedReason } }),
    lastSeen: renderTime(proxy.lastSeenMs),
    freshnessAgeMs: proxy.freshnessAgeMs,
    ...(proxy.clockAheadMs === undefined ? {} : { clockAheadMs: proxy.clockAheadMs }),
    ...(convergence === undefined ? {} : ledgerOf(convergenceToJson(convergence))),
  };
}

/**
 * Renames `prepared`: in the list of proxies it names all revisions that a proxy holds; this is whether the proxy holds
 * the one that it should run.
 */
function ledgerOf({ state, reason, desired, received, prepared, evaluating }: ReturnType<typeof convergenceToJson>) {
  return { state, reason, desired, received, isPrepared: prepared, evaluating };
}

function endpointToJson({ address, healthy, why }: NonNullable<ProxyInfo["endpoint"]>) {
  return { address, healthy, ...(why === "" ? {} : { why }) };
}

/** Shows "gets no calls" for an instance that serves while its callers avoid it; `ashlar services` says why. */
function renderServing({ serving, endpoint }: ProxyInfo): string {
  return serving && endpoint?.healthy === false ? "gets no calls" : yesOrNo(serving);
}

function renderRevoked({ revokedReason }: ProxyInfo): string {
  return revokedReason === "" ? "no: revoked" : `no: revoked (${plain(revokedReason)})`;
}

/** Shows the number of workers, or "-" for a proxy without worker processes. */
function renderWorkers({ workers, workersServing }: ProxyInfo): string {
  if (workers === 0) return "-";
  return workersServing === workers ? String(workers) : `${workersServing} of ${workers}`;
}

function renderProxies(proxies: readonly ProxyInfo[]): string {
  if (proxies.length === 0) return "No proxy has joined yet.";
  const rows = proxies.map((proxy) => [
    proxy.id,
    proxy.service,
    proxy.version,
    proxy.revokedMs === 0 ? yesOrNo(proxy.live) : renderRevoked(proxy),
    renderServing(proxy),
    renderWorkers(proxy),
    proxy.seenEpoch > proxy.epoch ? `${proxy.epoch} (seen ${proxy.seenEpoch})` : String(proxy.epoch),
    String(proxy.revision),
    proxy.digest === "" ? "-" : shortDigest(proxy.digest),
    String(proxy.lagMs),
    renderClock(proxy.clockAheadMs),
    renderTime(proxy.certificateExpiresMs),
  ]);
  const headings = [
    "ID",
    "SERVICE",
    "VERSION",
    "LIVE",
    "SERVING",
    "WORKERS",
    "EPOCH",
    "REVISION",
    "DIGEST",
    "LAG MS",
    "CLOCK",
  ];
  return renderTable([...headings, "CERTIFICATE EXPIRES"], rows);
}

/**
 * Renders how far a proxy's clock is off. Heartbeats take some milliseconds, so less than half a second counts as ok.
 */
function renderClock(aheadMs: number | undefined): string {
  if (aheadMs === undefined) return "-";
  if (Math.abs(aheadMs) < 500) return "ok";
  return `${aheadMs > 0 ? "+" : "-"}${(Math.abs(aheadMs) / 1000).toFixed(1)} s`;
}

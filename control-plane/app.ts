/** Starts and stops a control plane: the place where its features are constructed and connected. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { onAbort } from "../runtime/abort.js";
import { systemClock } from "../runtime/clock.js";
import type { Logger } from "../runtime/log.js";
import { StatementReader } from "../runtime/statement-reader.js";
import { openActivating } from "./activate/open-activating.js";
import { createAdminService } from "./admin/admin-service.js";
import { signHeads } from "./audit/audit-heads.js";
import { openAuditLog } from "./audit/audit-log.js";
import { readAuditPage } from "./audit/audit-pages.js";
import { Logins } from "./audit/logins.js";
import { LimitedAuditTrail } from "./audit/refusal-limit.js";
import { Cleanup } from "./cleanup.js";
import { meshDefault, type UpConfig } from "./config.js";
import { createConsoleDesk } from "./console/console-desk.js";
import { DataFolder } from "./data-folder.js";
import { createDecisionReader } from "./decisions/decision-reader.js";
import { followProblems, startFollowing } from "./fleet/follow-fleet.js";
import { problemsAbout } from "./fleet/problems.js";
import { openAuthority } from "./identity/authority.js";
import { readMeshOf } from "./identity/authority-file.js";
import { openJoinServices } from "./identity/join-services.js";
import { openJoinTokens } from "./identity/join-tokens.js";
import { openUnsignedWindow } from "./identity/unsigned-window.js";
import { checkPlaceThere, checkWholeFolder, hasServed } from "./identity/whole-folder.js";
import { createJournalReader } from "./journal/journal-reader.js";
import { openJournals } from "./journal/open-journals.js";
import { createOperatorJudge } from "./listeners.js";
import { openLooking } from "./look/open-looking.js";
import { openMembers } from "./membership/members.js";
import { noteJoined, openPlace, refreshPlace } from "./membership/place.js";
import { type OpenedNats, openNats } from "./nats/open-nats.js";
import { createDirectReads } from "./publish/direct-reads.js";
import { createPolicyReader } from "./publish/policy-reader.js";
import { createPublisher } from "./publish/publisher.js";
import { SnapshotStore } from "./publish/snapshot-store.js";
import { createChooser } from "./recover/chooser.js";
import { FloorGuard } from "./recover/floor-guard.js";
import { openRecovery } from "./recover/recovery.js";
import { type ServeBase, type Served, serve, writeJoinFile } from "./serve.js";
import { createControlMetrics } from "./status/control-metrics.js";
import { openControlStatus } from "./status/open-status.js";
import { openLedger } from "./store/jetstream-ledger.js";
import type { Ledger } from "./store/ledger.js";
import { appendFirstTrust } from "./trust/append-trust.js";
import { openTrust } from "./trust/open-trust.js";

export interface ControlPlane {
  /** Resolves when everything has stopped after `signal` aborted. */
  readonly stopped: Promise<void>;
}

const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));

interface Base extends ServeBase {
  /** Files that the data folder has lost and that are not needed, one line each. */
  readonly lostFiles: readonly string[];
}

/**
 * Starts a control plane. Resolves when it serves and its ready files are written, or with undefined if `signal`
 * aborted before that. Fails with one clear line; whatever was started is stopped again.
 */
export async function startControlPlane(
  config: UpConfig,
  log: Logger,
  signal: AbortSignal,
): Promise<ControlPlane | undefined> {
  const cleanup = new Cleanup();
  try {
    await start(config, log, signal, cleanup);
  } catch (error) {
    await cleanup.run(log);
    if (signal.aborted) return undefined;
    throw error;
  }
  const stopped = new Promise<void>((resolve) => {
    onAbort(signal, () => void cleanup.run(log).then(resolve));
  });
  return { stopped };
}

async function start(config: UpConfig, log: Logger, signal: AbortSignal, cleanup: Cleanup): Promise<void> {
  const clock = systemClock;
  const folder = await DataFolder.open(config.dataDir);
  cleanup.add(() => folder.close());
  folder.removeReadyFiles();
  const lostFiles = checkWholeFolder(folder.path);
  for (const why of lostFiles) log.error("a file of the data folder is missing", { why });
  const isNew = readMeshOf(folder.path) === undefined;
  const served = hasServed(folder.path);
  const stored = await openPlace(config, { dir: folder.path, clock, log }, signal);
  const mesh = folder.claim(config.mesh, readMeshOf(folder.path) ?? meshDefault);
  const gate: SigningGate = {};
  const beforeSigning = (bytes: Uint8Array) => gate.guard?.checkRecord(bytes);
  const authority = openAuthority({ dir: folder.path, mesh, clock, random, beforeSigning });
  const place = stored && (await refreshPlace(stored, { dir: folder.path, clock, log, authority }, signal));
  checkPlaceThere(folder.path, authority.holdsRoot, place !== undefined);
  const members = openMembers(folder.path, (joins) => writeJoinFile(folder, authority, joins));
  const base: Base = { config, log, clock, signal, cleanup, folder, authority, place, members, lostFiles };

  const nats = await openNats({ ...base, ...config, dataDir: folder.path });
  const ledger = await openLedger({
    bus: nats.access.bus,
    dir: join(folder.path, "ledger"),
    mesh,
    trustRoot: authority.rootPublicKey,
    log,
    clock,
    recreateStreams: () => nats.access.bootstrap(signal),
    signal,
  });
  cleanup.add(() => ledger.close());
  const lostAtStart = served && ledger.trust.head() === undefined;
  if (lostAtStart) log.error("the logs of this mesh are lost: waiting for proxies to give back what they hold");
  else await appendFirstTrust(ledger, authority);
  gate.guard = new FloorGuard({ ledger, clock, lostAtStart });

  const parts = await startParts({ ...base, isNew }, nats, ledger, gate.guard);
  if (isNew && place !== undefined) await noteJoined(parts.audit, authority);
  await serve(base, nats, parts);
}

type Parts = Served;

/** Holds the guard that can forbid signing. The guard is set once the ledger is open. */
interface SigningGate {
  guard?: FloorGuard;
}

async function startParts(
  base: Base & { readonly isNew: boolean },
  nats: OpenedNats,
  ledger: Ledger,
  guard: FloorGuard,
): Promise<Parts> {
  const { log, clock, cleanup, folder, authority } = base;
  const { mesh, signer } = authority;
  const { bus } = nats.access;
  const auditLog = await openAuditLog({ bus, dir: join(folder.path, "audit"), clock, log, random });
  cleanup.add(() => auditLog.close());
  cleanup.add(signHeads(base, auditLog));
  const metrics = createControlMetrics();
  const limited = new LimitedAuditTrail(auditLog, clock);
  cleanup.add(() => limited.flush());
  const audit = metrics.counted(limited);

  const freshness = {
    mesh,
    ledger,
    signer,
    clock,
    log,
    publish: (to: string, bytes: Uint8Array) => void bus.publish(to, bytes),
  };
  const unsigned = openUnsignedWindow(base);
  const reader = new StatementReader({ mesh, trusting: () => ledger.trust.head(), clock, ...unsigned });
  const { state, fleet, expected, registry, planes, natsServers } = startFollowing(
    base,
    nats.access,
    freshness,
    reader,
  );
  const recovery = openRecovery({ ledger, guard, fleet, audit, clock, log });
  const snapshots = new SnapshotStore(ledger.blobs);
  const { journalBytes } = base.config;
  const journals = openJournals({ ...base, mesh, reader, signer, nats, ledger, snapshots, journalBytes });
  const journalReader = createJournalReader({ bus, reader, mesh, trust: ledger.trust });
  const knownVersions = () => registry.versions(fleet.list(), clock.nowMs());
  const publisher = createPublisher({
    mesh,
    revisions: ledger.revisions,
    snapshots,
    knownVersions,
    knownEndpoints: () => registry.served(fleet.list()),
    knownIssuers: () => new Set(ledger.trust.head()?.body.issuers.map(({ name }) => name)),
    knownEgresses: () => new Set(ledger.trust.head()?.body.egresses.map(({ name }) => name)),
    hasJournalHolder: () => ledger.trust.head()?.body.journalHolder !== undefined,
    signer,
    audit,
    clock,
    beforeSigning: guard.settledFor("revisions"),
    journals: journals.preparer,
  });
  const activations = guard.settledFor("activations");
  const trustDeps = { ...base, ledger, fleet, audit, auditLog, guard: nats.guard, beforeSigning: activations };
  const { issued, natsUsers, ...trusting } = openTrust(trustDeps);
  const decisions = createDecisionReader({ bus, log, reader });
  const logs = { ledger, snapshots, decisions };
  const noting = { audit, auditLog, approvalsRequired: base.config.approvals };
  const signing = { signer, name: authority.name, beforeSigning: activations };
  const activating = openActivating({
    ...{ mesh, bus, ...logs, ...noting, fleet, ...signing, clock, log },
    journals: journals.preparer,
  });
  cleanup.add(activating.stop);
  const choosing = { ...activating, publisher, authority, audit };
  const chooser = createChooser({ mesh, ledger, signer, clock, ...choosing });
  const tokens = openJoinTokens({ dir: folder.path, mesh, rootHash: authority.rootHash, clock, random });
  const policy = createPolicyReader({
    mesh,
    rootPublicKey: authority.rootPublicKey,
    ledger,
    snapshots,
    publisher,
    heartbeatOf: (id) => state.find(id, clock.nowMs())?.heartbeat,
  });
  const problems = () => [
    ...problemsAbout("nats-account", nats.problems()),
    ...natsUsers.problems(),
    ...problemsAbout("audit", auditLog.problems()),
    ...followProblems(state, bus),
    ...planes.problems(),
    ...natsServers.problems(),
    ...problemsAbout("proxies-unsigned", unsigned.problems(fleet.live())),
    ...problemsAbout("clock", fleet.clockProblems()),
    ...recovery.problems(),
    ...journals.problems(),
    ...problemsAbout("issuer", trusting.issuers.problems()),
    ...problemsAbout("disk", [...base.lostFiles, ...nats.diskProblems()]),
  ];
  const revocations = () => ledger.trust.head()?.body.revocations ?? [];
  const desk = createConsoleDesk({ clock, random, revocations });
  cleanup.add(ledger.trust.onRecord(() => desk.sessions.sweep()));
  const adminService = createAdminService({
    mesh,
    console: desk,
    ...openLooking({ mesh, signer, bus, reader, clock, log, random, fleet }),
    ledger,
    publisher,
    decisions,
    policy,
    ...activating,
    chooser,
    fleet,
    expected,
    registry,
    planes,
    reader,
    tokens,
    ...trusting,
    audit,
    logins: new Logins({ audit, clock }),
    holdsRoot: authority.holdsRoot,
    auditLog,
    ...{
      journalReader,
      journalSealer: journals.sealer,
      journalImporting: journals.importing,
      bus,
      snapshots,
      access: nats.access,
      log,
    },
    auditPage: (position) => readAuditPage(bus, position),
    rootPublicKey: authority.rootPublicKey,
    signer,
    problems,
    clock,
  });
  if (base.config.status !== undefined) {
    const { rollouts } = activating;
    const parts = { mesh, ledger, policy, rollouts, fleet, expected, registry, problems, bus, clock, metrics, log };
    const told = { ...parts, journals };
    const served = await openControlStatus({ ...told, members: base.members, planes, natsServers }, base.config.status);
    cleanup.add(() => served.close());
  }
  const onIssued = ({ proxyId, service, version }: { proxyId: string; service: string; version: string }): void => {
    const sinceMs = clock.nowMs();
    if (state.find(proxyId, sinceMs) === undefined) expected.expect({ proxyId, service, version, sinceMs });
  };
  const hasDirectReads = createDirectReads(ledger, snapshots);
  const joining = { ledger, audit, tokens, issued, onIssued, freshness, recovery, hasDirectReads, ...unsigned };
  const joinServices = openJoinServices({ ...base, random }, nats, joining);
  return { audit, adminService, joinServices, desk, judge: createOperatorJudge(mesh, revocations) };
}

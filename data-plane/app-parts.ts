/** Opens what a proxy needs before it can carry calls: its identity and its knowledge of the mesh. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { proxyInbox } from "../core/wire/subjects.js";
import type { Bus } from "../runtime/bus.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import type { LogFormat, Logger } from "../runtime/log.js";
import { connectNats } from "../runtime/nats.js";
import type { StatusSources } from "../runtime/status-server.js";
import { AppRegistry } from "./agent/app-registry.js";
import type { ProxyConfig } from "./config.js";
import { MeshPorts } from "./egress/mesh-ports.js";
import { askForTime } from "./identity/ask-for-time.js";
import { findNats } from "./identity/find-nats.js";
import { type OwnRevocation, watchOwnRevocation } from "./identity/own-revocation.js";
import { type OpenedIdentity, openIdentity } from "./identity/proxy-identity.js";
import { openStatements, type Statements } from "./identity/statements.js";
import type { TrustBootstrap } from "./identity/trust-bootstrap.js";
import { keepJoinFile, readJoinFile, readToken } from "./join-file.js";
import { followPeers } from "./limits/follow-peers.js";
import type { AppView, PolicyView } from "./ports.js";
import { Reaches } from "./proxy/reaches.js";
import { ShadowTally } from "./proxy/shadow-tally.js";
import { startOfferer } from "./recover/start-offerer.js";
import { type EndpointRegistry, openEndpointRegistry } from "./registry/endpoint-view.js";
import { CallWindow } from "./status/call-window.js";
import { DecisionRecorder } from "./status/decision-recorder.js";
import { createFleetReporter, type FleetReporter } from "./status/fleet-reporter.js";
import { giveBackAfterLargePolicies } from "./sync/large-policies.js";
import { type IssuedHeads, openSync, type Sync } from "./sync/open-sync.js";
import { openStateFolder } from "./sync/state-folder.js";
import { ownedFolder } from "./takeover/owned-folder.js";
import type { Predecessor } from "./takeover/predecessor.js";
import type { Tenure } from "./takeover/tenure.js";
import type { WorkerCarrier } from "./workers/worker-carrier.js";
import type { SpawnWorker } from "./workers/worker-process.js";

const none = new Uint8Array();

/** What the surrounding process provides. */
export interface ProxySurroundings {
  readonly log: Logger;
  readonly logFormat: LogFormat;
  /** Starts a worker process. */
  readonly spawnWorker: SpawnWorker;
  readStdin(): Promise<string>;
  /** The proxy that runs on the data folder and hands it over; undefined: none runs. */
  readonly predecessor?: Predecessor | undefined;
  /** Adds what --status says about other proxies of the same process to what it says about this one. */
  readonly besides?: ((own: StatusSources) => StatusSources) | undefined;
  /** The ports of the mesh that the process knows; left out: it runs no other proxy. */
  readonly meshPorts?: MeshPorts;
}

/** Loads the stored identity, or joins the mesh with a token. Fails if neither works. */
export async function joinOrLoad(
  config: ProxyConfig,
  { log, readStdin }: ProxySurroundings,
  tenure: Tenure,
  signal: AbortSignal,
  life: AbortSignal,
): Promise<OpenedIdentity> {
  const joining = AbortSignal.any([signal, life]);
  const file = await readJoinFile(config.join, config.dataDir);
  const given = await readToken(config.token, readStdin);
  const options = { dir: config.dataDir, join: file, ...given, service: config.service };
  const identity = await openIdentity({ clock: systemClock, log, random: Math.random, tenure }, options, joining);
  keepJoinFile(file, config.dataDir); // a start that fails before this line leaves nothing behind
  return identity;
}

/** Everything that carrying calls depends on. */
export interface Parts extends Statements {
  readonly log: Logger;
  readonly clock: Clock;
  readonly identity: OpenedIdentity;
  readonly tenure: Tenure;
  readonly revocation: OwnRevocation;
  readonly bus: Bus;
  readonly sync: Sync;
  /** The policy that every process judges calls by (I7). */
  readonly policy: PolicyView;
  readonly endpoints: EndpointRegistry;
  readonly registry: AppRegistry;
  readonly reporter: FleetReporter;
  readonly window: CallWindow;
  readonly decisions: DecisionRecorder;
  readonly tally: ShadowTally;
  readonly reaches: Reaches;
  /** The ports of the mesh that this process knows. */
  readonly meshPorts: MeshPorts;
  /** True if this process takes over from another one of the same proxy, which drains meanwhile. */
  readonly tookOver: boolean;
}

/** Constructs the parts. `workers` or this process carry the calls. The logs are followed from `sync.start()` on. */
export async function openParts(
  config: ProxyConfig,
  identity: OpenedIdentity,
  { log, predecessor, meshPorts = new MeshPorts() }: Pick<ProxySurroundings, "log" | "predecessor" | "meshPorts">,
  tenure: Tenure,
  workers: WorkerCarrier | undefined,
  signal: AbortSignal,
): Promise<Parts> {
  const clock = systemClock;
  const { mesh, proxyId } = identity.current;
  const bus = connectNats({
    servers: () => identity.current.natsServers,
    jwt: () => identity.current.natsJwt,
    seed: () => identity.current.natsSeed,
    inboxPrefix: proxyInbox(proxyId),
    name: `proxy ${config.service} ${proxyId}`,
    caPem: () => identity.current.natsCaPem || undefined,
    log,
    signal,
  });
  identity.onRotate(() => bus.moved());
  void findNats({ identity, bus, clock, log, random: Math.random }, signal);
  const folder = ownedFolder(await openStateFolder(join(config.dataDir, "state")), tenure);
  const { service } = config;
  const upstreams = config.upstreams.map((upstream) => upstream.service);
  const { bootstrap } = identity;
  const options = {
    mesh,
    proxyId,
    service,
    upstreams,
    rootPublicKey: bootstrap.rootPublicKey,
    issued: headsOf(bootstrap),
  };
  const sync = await openSync({ bus, folder, clock, log, tenure, spread: workers?.spread }, options);
  giveBackAfterLargePolicies(sync);
  const offerer = startOfferer({ identity, sync, folder, clock, log, random: Math.random }, signal);
  identity.onBootstrap((renewed) => {
    sync.receive(headsOf(renewed));
    offerer.later();
  });
  void askForTime({ sync, identity, clock, log, random: Math.random }, signal);
  const policy = workers?.evaluatedByAll(sync.policy) ?? sync.policy;
  identity.reportSeen(() => ({
    epoch: policy.seenEpoch,
    activation: policy.seenActivation,
    trustSequence: policy.trustSequence,
  }));
  const signing = await openStatements(
    { identity, sync, folder, clock, log, counterFloor: predecessor?.counter ?? 0 },
    signal,
  );
  const { statements, reader } = signing;
  const revocation = watchOwnRevocation(
    {
      identity,
      reader,
      bus,
      clock,
      log,
      trust: sync.trust,
      random: Math.random,
      contacts: () => identity.contacts,
      receive: (trust) => sync.receive({ trust, activation: none, revision: none, freshness: none }),
    },
    signal,
  );
  const registry = new AppRegistry();
  const window = new CallWindow(policy.current?.revisionDigest);
  // Registered first, so that the window counts the calls that a switch ends.
  policy.onSwitch(({ revisionDigest }) => window.switched(revisionDigest));
  const tally = new ShadowTally();
  const reaches = new Reaches(() => clock.monotonicMs());
  const counted = workers ?? { window, tally, reaches };
  const reporter = createFleetReporter(
    {
      bus,
      clock,
      log,
      identity,
      statements,
      policy,
      app: advertisedView(registry),
      health: registry,
      window: counted.window,
      tally: counted.tally,
      reaches: counted.reaches,
      workers,
    },
    { labels: config.labels, bypassable: config.bypassable, serves: config.inbound !== undefined },
  );
  sync.onChange(() => reporter.poke());
  const recording = { bus, identity, statements, clock, random: randomBytes, log };
  const decisions = new DecisionRecorder(recording, config.recordShare);
  const viewing = { bus, folder, clock, log, reader, trust: sync.trust };
  const endpoints = await openEndpointRegistry(viewing, { service, proxyId });
  followPeers({ sync, endpoints }, service);
  const following = { log, clock, identity, tenure, bus, sync, policy, endpoints };
  const tookOver = predecessor !== undefined;
  const told = { window, decisions, tally, reaches };
  return { ...following, ...signing, ...told, revocation, registry, reporter, meshPorts, tookOver };
}

function headsOf({ trust, activation, revision, freshness, answeredAtMs }: TrustBootstrap): IssuedHeads {
  return { trust, activation: activation ?? none, revision: revision ?? none, freshness, answeredAtMs };
}

/** Returns the state that peers are told. An application that is leaving counts as gone while its open calls finish. */
function advertisedView(registry: AppRegistry): AppView {
  return {
    get current() {
      return registry.advertised;
    },
    onChange: (listener) => registry.onAdvertise(listener),
    reportRefused: (app) => registry.reportRefused(app),
  };
}

/** Stops the parts and writes what is not on disk yet. */
export async function closeParts({ reporter, decisions, endpoints, sync, bus }: Parts): Promise<void> {
  reporter.stop();
  await decisions.close();
  await endpoints.stop();
  await sync.stop();
  await bus.close();
}

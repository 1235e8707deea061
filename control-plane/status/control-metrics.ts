/**
 * The metrics of a control plane: what it did since its start, and the state of the mesh that `ashlar status` shows.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "../../runtime/metric-kinds.js";
import { linesOf, type MetricsFormat, type MetricsText, writeInTurns } from "../../runtime/metrics-text.js";
import { gaugesOf, watchProcess } from "../../runtime/process-metrics.js";
import { type AuditDraft, type AuditTrail, auditActions } from "../audit/audit-trail.js";
import type { JournalFigures } from "../journal/seal-journals.js";

/** The state of the mesh at one moment. */
export interface MeshFigures {
  readonly epoch: number;
  readonly revision: number;
  readonly headRevision: number;
  readonly trustSequence: number;
  readonly total: number;
  readonly prepared: number;
  readonly active: number;
  readonly behind: number;
  readonly rejected: number;
  readonly problems: readonly string[];
  /** The number of instances that some caller cannot connect to. */
  readonly outOfReach: number;
  /** The number of instances that some caller has ejected. */
  readonly ejected: number;
  /** The stage of the rollout that is underway, from 1; 0: there is none. */
  readonly rolloutStage: number;
  /** The milliseconds that each proxy took from the activation in force to its switch. */
  readonly switchMs: readonly number[];
}

export interface ControlMetricsSources {
  mesh(): Promise<MeshFigures>;
  /** Returns the number of join listeners that this control plane knows, its own included. */
  controlPlanes(): number;
  /** Returns how many of them have said nothing for 15 s. */
  controlPlanesSilent(): number;
  /** Returns how many of the given NATS servers have not answered for 15 s. */
  natsServersSilent(): number;
  isNatsConnected(): boolean;
  journals(): readonly JournalFigures[];
}

export interface ControlMetrics {
  /** Returns a trail that records to `trail` and counts its entries. */
  counted(trail: AuditTrail): AuditTrail;
  /** Notes how many milliseconds after its publication a proxy held a revision compiled. */
  prepared(tookMs: number): void;
  render(sources: ControlMetricsSources, format: MetricsFormat): Promise<MetricsText>;
}

const tookBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const actionsKnown: ReadonlySet<string> = new Set(auditActions);
const delayResolutionMs = 20;

export function createControlMetrics(): ControlMetrics {
  const registry = new Registry();
  const registers = [registry];
  const entries = new Counter({
    name: "ashlar_audit_entries_total",
    help: "Entries that this control plane added to the audit log, such as publishes, activations and joins.",
    labelNames: ["action", "outcome"],
    registers,
  });
  const switches = new Histogram({
    name: "ashlar_proxy_switch_seconds",
    help: "Time from an activation to the switch of each proxy, as of the activation in force.",
    buckets: tookBuckets,
    registers,
  });
  const prepares = new Histogram({
    name: "ashlar_proxy_prepare_seconds",
    help: "Time from the publishing of a revision until each proxy that was there held it compiled.",
    buckets: tookBuckets,
    registers,
  });
  const gauges = new MeshGauges(registers);
  const journals = new JournalGauges(registers);
  watchLoop(registers);
  return {
    counted: (trail) => ({
      record(draft: AuditDraft) {
        const action = actionsKnown.has(draft.action) ? draft.action : "other";
        entries.inc({ action, outcome: draft.outcome === "ok" ? "ok" : "refused" });
        return trail.record(draft);
      },
    }),
    prepared: (tookMs) => prepares.observe(tookMs / 1000),
    async render(sources, format) {
      const mesh = await sources.mesh();
      gauges.set(mesh, sources);
      journals.set(sources.journals());
      switches.reset();
      for (const ms of mesh.switchMs) switches.observe(ms / 1000);
      return writeInTurns(format, [linesOf(format, await registry.getMetricsAsJSON())]);
    },
  };
}

class MeshGauges {
  readonly #gauge: (name: string, help: string) => Gauge;
  readonly #proxies: Gauge<"state">;
  readonly #all: Readonly<Record<string, Gauge>>;

  constructor(registers: Registry[]) {
    this.#gauge = (name, help) => new Gauge({ name, help, registers });
    this.#proxies = new Gauge({
      name: "ashlar_fleet_proxies",
      help: "Proxies of the mesh by state, as `ashlar status` counts them; a proxy may be in several.",
      labelNames: ["state"],
      registers,
    });
    this.#all = {
      epoch: this.#gauge("ashlar_mesh_epoch", "Epoch of the activation in force."),
      revision: this.#gauge("ashlar_mesh_revision", "Number of the revision in force."),
      headRevision: this.#gauge("ashlar_mesh_head_revision", "Number of the newest revision of the log."),
      trustSequence: this.#gauge("ashlar_mesh_trust_sequence", "Sequence of the trust record in force."),
      problems: this.#gauge("ashlar_mesh_problems", "Problems that `ashlar status` names."),
      outOfReach: this.#gauge(
        "ashlar_endpoints_out_of_reach",
        "Instances that some caller's proxy cannot connect to where they say that they are.",
      ),
      ejected: this.#gauge(
        "ashlar_instances_ejected",
        "Instances that some caller's proxy sends no calls for a while because of how their answers were.",
      ),
      rolloutStage: this.#gauge(
        "ashlar_rollout_stage",
        "Stage of the rollout that is underway, from 1 on; 0: none is.",
      ),
      controlPlanes: this.#gauge(
        "ashlar_control_planes",
        "Control planes of the mesh that this one knows, itself included.",
      ),
      controlPlanesSilent: this.#gauge(
        "ashlar_control_planes_silent",
        "Control planes that have said nothing for 15 seconds, at most a day: they do not run, or are cut off from NATS.",
      ),
      natsServersSilent: this.#gauge(
        "ashlar_nats_servers_silent",
        "NATS servers of several that this control plane was told and that have not answered it for 15 seconds.",
      ),
      nats: this.#gauge("ashlar_nats_connected", "1 while the process is connected to NATS, else 0."),
    };
  }

  set(mesh: MeshFigures, sources: ControlMetricsSources): void {
    const values: Readonly<Record<string, number>> = {
      ...mesh,
      problems: mesh.problems.length,
      controlPlanes: sources.controlPlanes(),
      controlPlanesSilent: sources.controlPlanesSilent(),
      natsServersSilent: sources.natsServersSilent(),
      nats: sources.isNatsConnected() ? 1 : 0,
    } as unknown as Record<string, number>;
    for (const [name, gauge] of Object.entries(this.#all)) gauge.set(values[name] ?? 0);
    for (const state of ["total", "prepared", "active", "behind", "rejected"] as const)
      this.#proxies.set({ state }, mesh[state]);
  }
}

/** One series for each journal, because few services have one. */
class JournalGauges {
  readonly #all: readonly (readonly [Gauge<"service">, keyof Omit<JournalFigures, "service">])[];

  constructor(registers: Registry[]) {
    const gauge = (name: string, help: string): Gauge<"service"> =>
      new Gauge({ name, help, labelNames: ["service"], registers });
    this.#all = [
      [gauge("ashlar_journal_messages", "Messages that the journal of a service holds."), "messages"],
      [gauge("ashlar_journal_stored_bytes", "Bytes that the journal of a service holds."), "bytes"],
      [
        gauge(
          "ashlar_journal_stored_bytes_max",
          "Bytes that the journal may hold: once it does, writes are answered 14.",
        ),
        "bytesMax",
      ],
      [gauge("ashlar_journal_unsealed", "Messages of the journal that no seal covers yet."), "unsealed"],
      [
        gauge("ashlar_journal_unresolved", "Valid writes of the journal that have had no outcome for a minute."),
        "unresolved",
      ],
    ];
  }

  set(journals: readonly JournalFigures[]): void {
    for (const [gauge, what] of this.#all) {
      gauge.reset();
      for (const journal of journals) gauge.set({ service: journal.service }, journal[what]);
    }
  }
}

function watchLoop(registers: Registry[]): void {
  const read = gaugesOf(registers);
  watchProcess(read);
  const delays = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delays.enable();
  read("ashlar_event_loop_delay_max_seconds", "Longest delay of the event loop since the last scrape.", () => {
    const longest = Math.max(0, delays.max / 1e9 - delayResolutionMs / 1000);
    delays.reset();
    return longest;
  });
}

/** Answers questions about revisions: their policy as text, the difference between two, and who may call what. */
import type { Digest } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { gatewayNameIn, isLabel } from "../../core/identity.js";
import type { Finding, Heartbeat, PolicyFile, Revision, Signed, Unit } from "../../core/model.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { revisionInForce } from "../../core/rollout/cohort.js";
import type { Snapshot } from "../../core/snapshot/build.js";
import { diffUnits, type ObjectChange } from "../../core/snapshot/diff.js";
import { type AccessChange, diffAccess } from "../../core/snapshot/matrix.js";
import { objectsOf, renderJson, renderYaml } from "../../core/snapshot/render.js";
import { encodeBundle, parseBundle } from "../../core/wire/bundle.js";
import { directlyRead, type RoutedTargets, routedTargets } from "../fleet/empty-routes.js";
import { type RolloutBeside, rolloutBeside } from "../rollout/rollout-course.js";
import { findRevision } from "../store/find-revision.js";
import type { Ledger } from "../store/ledger.js";
import { type AccessVerdict, checkAccess } from "./check-access.js";
import { type AccessAnswer, type AccessQuery, listAccess } from "./list-access.js";
import type { CheckedFiles, Publisher } from "./publisher.js";
import type { SnapshotStore } from "./snapshot-store.js";

export interface PolicyReaderDeps {
  readonly mesh: string;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  readonly ledger: Pick<Ledger, "revisions" | "activations" | "trust">;
  readonly snapshots: SnapshotStore;
  readonly publisher: Pick<Publisher, "check" | "checkBundle">;
  /** Returns the last heartbeat of a proxy. */
  readonly heartbeatOf: (proxyId: string) => Heartbeat | undefined;
}

/** One side of a diff. */
export type PolicySide =
  | { readonly kind: "active" }
  | { readonly kind: "newest" }
  | { readonly kind: "revision"; readonly number: number }
  | { readonly kind: "files"; readonly files: readonly PolicyFile[] }
  | { readonly kind: "proxy"; readonly id: string }
  | { readonly kind: "bundle"; readonly bytes: Uint8Array };

export interface PolicyDiff {
  readonly findings: readonly Finding[];
  readonly objects: readonly ObjectChange[];
  readonly access: readonly AccessChange[];
}

/** A diff with the digests of the two snapshots; undefined: there are errors. */
export interface SidesDiff extends PolicyDiff {
  /** The revision; 0 if the side is files, a bundle or nothing. */
  readonly fromRevision: number;
  readonly toRevision: number;
  readonly rollout: RolloutBeside | undefined;
  readonly fromSnapshot: Digest | undefined;
  readonly toSnapshot: Digest | undefined;
  /** Findings about the first side; `fromObjects`: the number of its objects. */
  readonly fromObjects: number;
}

export interface Validated extends PolicyDiff {
  /** undefined if there are errors. */
  readonly snapshotDigest: string | undefined;
  readonly wouldCreate: boolean;
}

export interface PolicyReader {
  /** Returns the revision with this number; 0: the active one. Fails with `not_found`. */
  find(number: number): Signed<Revision>;
  yaml(revision: Signed<Revision>): Promise<string>;
  json(revision: Signed<Revision>): Promise<string>;
  validate(files: readonly PolicyFile[]): Promise<Validated>;
  /**
   * Compares two sides. `namesOnly`: without lines and access. Fails with `not_found` for an unknown revision or proxy,
   * and with `stale` for a proxy that evaluates nothing.
   */
  diff(from: PolicySide, to: PolicySide, namesOnly?: boolean): Promise<SidesDiff>;
  /** Returns the revision as a bundle for other meshes. Fails with `limit` above 8 MiB. */
  bundle(revision: Signed<Revision>): Promise<Uint8Array>;
  /**
   * Answers whether a caller may call. Unknown callers, services and methods are answered with `default-deny`; only an
   * unknown revision fails. Without `inputs`, conditions on more than the caller and the method cannot be evaluated.
   */
  checkAccess(
    caller: string,
    service: string,
    method: string,
    revision: number,
    inputs?: CallInputs,
  ): Promise<AccessVerdict>;
  /** Lists every caller of a method. Nobody may call an unknown service. Fails as `listAccess` does. */
  listAccess(query: AccessQuery): Promise<AccessAnswer>;
  /** Returns the services of the active revision, and its gateways as `gateway/NAME`. */
  activeServices(): Promise<ReadonlySet<string>>;
  /**
   * Returns the targets that its routes name; empty if its policy is lost, which `problems` reports. Cheap while the
   * same revision stays active.
   */
  activeRoutes(): Promise<readonly RoutedTargets[]>;
  /** Returns the services whose reads may go direct by it, sorted. As cheap. */
  activeDirectReads(): Promise<readonly string[]>;
}

export function createPolicyReader(deps: PolicyReaderDeps): PolicyReader {
  const { ledger, snapshots } = deps;
  const active = readActive(deps);
  const unitsOf = async (revision: Signed<Revision> | undefined): Promise<readonly Unit[]> =>
    (await snapshots.load(revision?.body.snapshot)).units.map(({ unit }) => unit);
  return {
    find: (number) => find(ledger, number),
    yaml: async (revision) => renderYaml(await unitsOf(revision)),
    json: async (revision) => renderJson(await unitsOf(revision)),
    async validate(files) {
      const { findings, snapshot } = deps.publisher.check(files);
      if (snapshot === undefined) return { ...nothing, findings, snapshotDigest: undefined, wouldCreate: false };
      const head = ledger.revisions.head();
      const after = snapshot.units.map(({ unit }) => unit);
      const { objects, access, findings: more } = compare(await unitsOf(head), after, deps.mesh);
      const wouldCreate = head?.body.snapshot !== snapshot.list.digest;
      return { findings: [...findings, ...more], objects, access, snapshotDigest: snapshot.list.digest, wouldCreate };
    },
    async diff(from, to, namesOnly = false) {
      const findings: Finding[] = [];
      const [fromRevision, toRevision] = [from, to].map((side) => revisionOf(deps, side));
      const numbers = { fromRevision: fromRevision?.body.number ?? 0, toRevision: toRevision?.body.number ?? 0 };
      const about = { ...numbers, rollout: rolloutBeside(ledger.activations.head()) };
      const before = await readSide(deps, from, fromRevision, findings);
      const after = await readSide(deps, to, toRevision, findings);
      if (before === undefined || after === undefined)
        return { ...nothing, ...about, findings, fromSnapshot: undefined, toSnapshot: undefined, fromObjects: 0 };
      const [old, young] = [unitsIn(before), unitsIn(after)];
      const { objects, access, findings: more } = namesOnly ? compareNames(old, young) : compare(old, young, deps.mesh);
      const digests = { fromSnapshot: before.list.digest, toSnapshot: after.list.digest };
      const fromObjects = old.reduce((sum, unit) => sum + objectsOf(unit).length, 0);
      return { ...about, findings: [...findings, ...more], objects, access, ...digests, fromObjects };
    },
    bundle: (revision) => bundleOf(deps, revision),
    checkAccess: (caller, service, method, revision, inputs) =>
      checkAccess(deps, { caller, service, method, inputs }, revision),
    listAccess: (query) => listAccess(deps, query),
    async activeServices() {
      const revision = findActive(ledger);
      if (revision === undefined) return new Set();
      const { units } = await snapshots.loadList(revision.body.snapshot);
      return new Set(
        units.map(({ name }) => name).filter((name) => isLabel(name) || gatewayNameIn(name) !== undefined),
      );
    },
    activeRoutes: async () => (await active())?.routed ?? [],
    activeDirectReads: async () => (await active())?.directReads ?? [],
  };
}

/** What `status` says of the active revision. */
interface ActivePolicy {
  readonly snapshot: Digest;
  readonly routed: readonly RoutedTargets[];
  readonly directReads: readonly string[];
}

/** Caches what was read of the revision that was read last. */
function readActive({ ledger, snapshots }: PolicyReaderDeps): () => Promise<ActivePolicy | undefined> {
  let last: ActivePolicy | undefined;
  return async () => {
    const snapshot = findActive(ledger)?.body.snapshot;
    if (snapshot === undefined || last?.snapshot === snapshot) return snapshot && last;
    try {
      const units = unitsIn(await snapshots.load(snapshot));
      last = { snapshot, routed: routedTargets(units), directReads: directlyRead(units) };
      return last;
    } catch (error) {
      if (isAshlarError(error, "stale")) return undefined;
      throw error;
    }
  };
}

const nothing = { objects: [], access: [] } as const;

function findActive(ledger: PolicyReaderDeps["ledger"]): Signed<Revision> | undefined {
  const head = ledger.activations.head();
  return head && ledger.revisions.find(revisionInForce(head.body).number);
}

function find(ledger: PolicyReaderDeps["ledger"], number: number): Signed<Revision> {
  if (number !== 0) return findRevision(ledger, number);
  const active = findActive(ledger);
  if (active === undefined) throw new AshlarError("not_found", "no revision is active yet");
  return active;
}

const unitsIn = (snapshot: Snapshot): readonly Unit[] => snapshot.units.map(({ unit }) => unit);

/** Returns undefined if the side is not a revision, or nothing is active. */
function revisionOf(deps: PolicyReaderDeps, side: PolicySide): Signed<Revision> | undefined {
  switch (side.kind) {
    case "active":
      return findActive(deps.ledger);
    case "newest":
      return deps.ledger.revisions.head();
    case "revision":
      return find(deps.ledger, side.number);
    case "proxy":
      return findEvaluated(deps, side.id);
    default:
      return undefined;
  }
}

/** Returns undefined for files with errors, which are then among the findings. */
async function readSide(
  { publisher, snapshots }: PolicyReaderDeps,
  side: PolicySide,
  revision: Signed<Revision> | undefined,
  findings: Finding[],
): Promise<Snapshot | undefined> {
  const checked = (found: CheckedFiles): Snapshot | undefined => {
    findings.push(...found.findings);
    return found.snapshot;
  };
  switch (side.kind) {
    case "files":
      return checked(publisher.check(side.files));
    case "bundle":
      return checked(publisher.checkBundle(parseBundle(side.bytes)));
    default:
      return snapshots.load(revision?.body.snapshot);
  }
}

/** Returns the revision that a proxy reports as evaluated (I7). */
function findEvaluated({ heartbeatOf, ledger }: PolicyReaderDeps, proxyId: string): Signed<Revision> {
  const named = JSON.stringify(proxyId.slice(0, 64));
  const heartbeat = heartbeatOf(proxyId);
  if (heartbeat === undefined) throw new AshlarError("not_found", `there is no proxy ${named}; see \`ashlar proxies\``);
  const { evaluatingRevision: number, evaluatingDigest: digest } = heartbeat;
  if (digest === undefined) throw new AshlarError("stale", `proxy ${named} evaluates no revision yet`);
  const revision = ledger.revisions.find(number);
  if (revision?.digest === digest) return revision;
  throw new AshlarError(
    "not_found",
    `proxy ${named} evaluates revision ${number} (${digest}), which is not in the log`,
  );
}

async function bundleOf(deps: PolicyReaderDeps, revision: Signed<Revision>): Promise<Uint8Array> {
  const { mesh, rootPublicKey, ledger, snapshots } = deps;
  // the first record that contains the key, so that a revision always gives the same bytes
  const trust = ledger.trust.list().find(({ body }) => body.signingKeys.some(({ kid }) => kid === revision.kid));
  if (trust === undefined)
    throw new AshlarError("unavailable", "the trust record with the key of this revision is not there: try again");
  return encodeBundle({ mesh, rootPublicKey, trust, revision, snapshot: await snapshots.load(revision.body.snapshot) });
}

function compareNames(before: readonly Unit[], after: readonly Unit[]): PolicyDiff {
  const objects = diffUnits(before, after).objects.map((change) => ({ ...change, lines: [] }));
  return { findings: [], objects, access: [] };
}

function compare(before: readonly Unit[], after: readonly Unit[], mesh: string): PolicyDiff {
  const { objects } = diffUnits(before, after);
  const { pairs, complete } = diffAccess(before, after, mesh);
  const message = "the list of access that changes is cut short: it is too long, or takes too long to work out";
  const findings: Finding[] = complete
    ? []
    : [{ severity: "warning", file: "", line: 0, column: 0, field: "", message }];
  return { findings, objects, access: pairs };
}

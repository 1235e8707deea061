/** What a revision says: its policy as text, what differs from another, who may call what. */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { buildSpiffeId, isLabel, parseSpiffeId, type SpiffeId } from "../../core/identity.js";
import type { Finding, Heartbeat, PolicyFile, Revision, Signed, Unit } from "../../core/model.js";
import { compileUnit } from "../../core/policy/compile.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { epochThatRuns, revisionInForce } from "../../core/rollout/cohort.js";
import type { Snapshot } from "../../core/snapshot/build.js";
import { diffUnits, type ObjectChange } from "../../core/snapshot/diff.js";
import { type AccessChange, diffAccess } from "../../core/snapshot/matrix.js";
import { renderYaml } from "../../core/snapshot/render.js";
import { encodeBundle, parseBundle } from "../../core/wire/bundle.js";
import { findRevision } from "../activate/activator.js";
import { stageHeadOf } from "../rollout/rollout-course.js";
import type { Ledger } from "../store/ledger.js";
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
  /** The last heartbeat of a proxy. */
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
  readonly fromSnapshot: Digest | undefined;
  readonly toSnapshot: Digest | undefined;
}

export interface Validated extends PolicyDiff {
  /** undefined: there are errors. */
  readonly snapshotDigest: string | undefined;
  readonly wouldCreate: boolean;
}

export interface AccessVerdict {
  readonly allowed: boolean;
  readonly rule: string;
  readonly reason: string;
  /** 0: nothing is active. */
  readonly revision: number;
  /** 0: that revision is not the active one. */
  readonly epoch: number;
}

export interface PolicyReader {
  /** The revision with this number; 0: the active one. Fails with `not_found`. */
  find(number: number): Signed<Revision>;
  yaml(revision: Signed<Revision>): Promise<string>;
  validate(files: readonly PolicyFile[]): Promise<Validated>;
  /** Fails with `not_found` for a revision or proxy that is not known, `stale` for a proxy that evaluates nothing. */
  diff(from: PolicySide, to: PolicySide): Promise<SidesDiff>;
  /** The revision as a bundle for other meshes. Fails with `limit` above 8 MiB. */
  bundle(revision: Signed<Revision>): Promise<Uint8Array>;
  /**
   * Unknown callers, services and methods are answered by `default-deny`; only an unknown revision fails. Without
   * `inputs`, conditions on more than the caller and the method cannot be told.
   */
  checkAccess(
    caller: string,
    service: string,
    method: string,
    revision: number,
    inputs?: CallInputs,
  ): Promise<AccessVerdict>;
  /** Every caller of a method. An unknown service is nobody's to call; fails as `listAccess` does. */
  listAccess(query: AccessQuery): Promise<AccessAnswer>;
  /** The services that the active revision has. */
  activeServices(): Promise<ReadonlySet<string>>;
}

export function createPolicyReader(deps: PolicyReaderDeps): PolicyReader {
  const { ledger, snapshots } = deps;
  const unitsOf = async (revision: Signed<Revision> | undefined): Promise<readonly Unit[]> =>
    (await snapshots.load(revision?.body.snapshot)).units.map(({ unit }) => unit);
  return {
    find: (number) => find(ledger, number),
    yaml: async (revision) => renderYaml(await unitsOf(revision)),
    async validate(files) {
      const { findings, snapshot } = deps.publisher.check(files);
      if (snapshot === undefined) return { ...nothing, findings, snapshotDigest: undefined, wouldCreate: false };
      const head = ledger.revisions.head();
      const after = snapshot.units.map(({ unit }) => unit);
      const { objects, access, findings: more } = compare(await unitsOf(head), after, deps.mesh);
      const wouldCreate = head?.body.snapshot !== snapshot.list.digest;
      return { findings: [...findings, ...more], objects, access, snapshotDigest: snapshot.list.digest, wouldCreate };
    },
    async diff(from, to) {
      const findings: Finding[] = [];
      const before = await readSide(deps, from, findings);
      const after = await readSide(deps, to, findings);
      if (before === undefined || after === undefined)
        return { ...nothing, findings, fromSnapshot: undefined, toSnapshot: undefined };
      const { objects, access, findings: more } = compare(unitsIn(before), unitsIn(after), deps.mesh);
      const digests = { fromSnapshot: before.list.digest, toSnapshot: after.list.digest };
      return { findings: [...findings, ...more], objects, access, ...digests };
    },
    bundle: (revision) => bundleOf(deps, revision),
    checkAccess: (caller, service, method, revision, inputs) =>
      checkAccess(deps, { caller, service, method, inputs }, revision),
    listAccess: (query) => listAccess(deps, query),
    async activeServices() {
      const revision = findActive(ledger);
      if (revision === undefined) return new Set();
      const { units } = await snapshots.loadList(revision.body.snapshot);
      return new Set(units.map(({ name }) => name).filter(isLabel));
    },
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

/** undefined: files with errors, which are among the findings then. */
async function readSide(deps: PolicyReaderDeps, side: PolicySide, findings: Finding[]): Promise<Snapshot | undefined> {
  const { ledger, publisher, snapshots } = deps;
  const checked = (found: CheckedFiles): Snapshot | undefined => {
    findings.push(...found.findings);
    return found.snapshot;
  };
  switch (side.kind) {
    case "active":
      return snapshots.load(findActive(ledger)?.body.snapshot);
    case "newest":
      return snapshots.load(ledger.revisions.head()?.body.snapshot);
    case "revision":
      return snapshots.load(find(ledger, side.number).body.snapshot);
    case "proxy":
      return snapshots.load(findEvaluated(deps, side.id).body.snapshot);
    case "files":
      return checked(publisher.check(side.files));
    case "bundle":
      return checked(publisher.checkBundle(parseBundle(side.bytes)));
  }
}

/** What a proxy says it evaluates (I7). */
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
  // the first that names the key, so that the same revision gives the same bytes for ever
  const trust = ledger.trust.list().find(({ body }) => body.signingKeys.some(({ kid }) => kid === revision.kid));
  if (trust === undefined)
    throw new AshlarError("unavailable", "the trust record with the key of this revision is not there: try again");
  return encodeBundle({ mesh, rootPublicKey, trust, revision, snapshot: await snapshots.load(revision.body.snapshot) });
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

interface AccessQuestion {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly inputs: CallInputs | undefined;
}

/** While a rollout runs, the answer is that of its base, and says what its candidate's would be. */
async function checkAccess(deps: PolicyReaderDeps, asked: AccessQuestion, number: number): Promise<AccessVerdict> {
  const { ledger } = deps;
  const verdict = await judge(deps, asked, number === 0 ? findActive(ledger) : findRevision(ledger, number));
  const running = stageHeadOf(ledger.activations.head());
  if (number !== 0 || running === undefined) return verdict;
  const { revisionNumber, rollout } = running.body;
  const { allowed, rule } = await judge(deps, asked, findRevision(ledger, revisionNumber));
  const other = `rollout ${rollout.number} runs: under revision ${revisionNumber} it is ${allowed ? "allowed" : "denied"} by ${rule}`;
  return { ...verdict, reason: verdict.reason === "" ? other : `${verdict.reason}; ${other}` };
}

async function judge(
  deps: PolicyReaderDeps,
  asked: AccessQuestion,
  revision: Signed<Revision> | undefined,
): Promise<AccessVerdict> {
  const { ledger, snapshots, mesh } = deps;
  const head = ledger.activations.head();
  const about = {
    revision: revision?.body.number ?? 0,
    epoch: revision === undefined ? 0 : epochThatRuns(head?.body, revision.digest),
  };
  const deny = (reason: string) => ({ ...about, allowed: false, rule: "default-deny", reason });
  if (revision === undefined) return deny("no revision is active yet, so everything is denied");
  const caller = parseCaller(asked.caller, mesh);
  if (caller === undefined) return deny(`${quote(asked.caller)} is neither a service's name nor a SPIFFE ID`);
  const unit = isLabel(asked.service) ? await snapshots.loadUnit(revision.body.snapshot, asked.service) : undefined;
  if (unit === undefined) return deny(`revision ${about.revision} has no service ${quote(asked.service)}`);
  const compiled = compileUnit(unit, mesh);
  const method = asked.method.replace(/^\//, "");
  const { inputs } = asked;
  const { allow, rule, reason } =
    inputs === undefined ? compiled.evaluate(caller, method) : compiled.evaluateCall(caller, method, inputs);
  return { ...about, allowed: allow, rule, reason };
}

/** What was asked, shortened: an answer must not be as long as somebody likes. */
const quote = (text: string): string => JSON.stringify(text.slice(0, 200));

function parseCaller(text: string, mesh: string): SpiffeId | undefined {
  try {
    return isLabel(text) ? buildSpiffeId(mesh, "service", text) : parseSpiffeId(text);
  } catch {
    return undefined;
  }
}

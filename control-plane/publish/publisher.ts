/** Turns policy files into the next revision: checks them, cuts them into units, stores, signs and appends. */
import type { Digest } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import type { Finding, PolicyFile, Revision, Signed, SnapshotList } from "../../core/model.js";
import { mayPublish, parentAfter } from "../../core/revision.js";
import type { Signer } from "../../core/signature.js";
import { buildSnapshot, type Snapshot } from "../../core/snapshot/build.js";
import { checkPolicy } from "../../core/snapshot/check.js";
import { FileMemory, parsePolicyFiles, type SourcedObject } from "../../core/snapshot/parse-files.js";
import { objectsOf } from "../../core/snapshot/render.js";
import { messageBytesMax } from "../../core/wire/bounds.js";
import { type Bundle, parseBundle } from "../../core/wire/bundle.js";
import { signRevision } from "../../core/wire/records.js";
import { changesBetween, encodeSnapshotList } from "../../core/wire/units.js";
import type { Clock } from "../../runtime/clock.js";
import { invalidFields } from "../../runtime/grpc-status.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { JournalPreparer } from "../journal/wanted-journals.js";
import type { RecordLog } from "../store/ledger.js";
import { contextOf, type KnownMesh } from "./known-mesh.js";
import type { SnapshotStore } from "./snapshot-store.js";

export interface PublisherDeps extends KnownMesh {
  readonly revisions: RecordLog<Revision>;
  readonly snapshots: SnapshotStore;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Fails with `stale` while the log is behind what was signed before. */
  readonly beforeSigning?: () => Promise<void>;
  /** Prepares the journals that policy names; undefined: no writes are journaled. */
  readonly journals?: Pick<JournalPreparer, "forSnapshot">;
}

export interface PublishOptions {
  /** The policy files: the whole desired state. */
  readonly files: readonly PolicyFile[];
  /** The author's message, at most 4 KiB. */
  readonly message: string;
  /** The number that must be the head of the log; undefined: any; 0: the log must be empty. */
  readonly parent: number | undefined;
  /** Unless it is true, policy without any object is refused, because it would remove everything. */
  readonly allowEmpty?: boolean;
}

export interface ImportOptions extends Omit<PublishOptions, "files"> {
  /** The bytes of a bundle, as `encodeBundle` returns them. */
  readonly bundle: Uint8Array;
  /** The root hash of the mesh that the bundle must come from; "": any mesh. */
  readonly rootHash: string;
}

export interface Published {
  readonly findings: readonly Finding[];
  /** True if a new revision was created; false if the head has the same policy, or there are errors. */
  readonly created: boolean;
  /** The new revision, or the unchanged head; undefined if there are errors. */
  readonly revision: Signed<Revision> | undefined;
}

/** The result of checking files. Nothing is stored. */
export interface CheckedFiles {
  readonly findings: readonly Finding[];
  /** The snapshot; undefined: there are errors. */
  readonly snapshot: Snapshot | undefined;
}

export interface Publisher {
  /** Checks files and returns all findings. Fails with `invalid_argument` or `limit` on a request out of bounds. */
  check(files: readonly PolicyFile[]): CheckedFiles;
  /** Checks a bundle in the same way. */
  checkBundle(bundle: Bundle): CheckedFiles;
  /**
   * Publishes `files` as the next revision if they change anything. If there is an error among the findings, nothing is
   * stored. Fails with `invalid_argument` if they contain no object and that is not allowed, and with `conflict`,
   * naming the head, if the head is not `parent` or somebody else was first.
   */
  publish(options: PublishOptions, caller: OperatorCaller): Promise<Published>;
  /**
   * Publishes the policy of a bundle: the same bytes with the same digest, with this mesh's author, number and
   * signature. Fails with `invalid_record` or `limit` on a bundle that does not verify, with `denied` if it comes from
   * another mesh than asked for, and with `conflict` as `publish` does.
   */
  importBundle(options: ImportOptions, caller: OperatorCaller): Promise<Published>;
  /**
   * Publishes the policy of a record that is not in the log, unless the head already has it. Fails with `stale` if a
   * part of it is lost.
   */
  republish(record: Signed<Revision>, message: string, caller: OperatorCaller): Promise<Signed<Revision>>;
}

const filesBytesMax = 8 * 1024 * 1024;
const filesMax = 10_000;
const fileNameBytesMax = 1024;

export function createPublisher(deps: PublisherDeps): Publisher {
  const memory = new FileMemory();
  const check = (files: readonly PolicyFile[]) => checkFiles(deps, memory, files);
  return {
    check,
    checkBundle: (bundle) => checkBundle(deps, bundle),
    publish: (options, caller) =>
      audited(
        deps.audit,
        { action: "publish", target: "a revision", caller, detail: options.message },
        () => publish(deps, check(options.files), options, caller),
        renderAudit,
      ),
    importBundle: (options, caller) =>
      audited(
        deps.audit,
        { action: "publish", target: "a revision", caller, detail: `import: ${options.message}` },
        () => importBundle(deps, options, caller),
        renderAudit,
      ),
    async republish({ body }, message, caller) {
      const checked = { findings: [], snapshot: await deps.snapshots.load(body.snapshot) };
      const { revision } = await publish(deps, checked, { message, parent: undefined, allowEmpty: true }, caller);
      if (revision === undefined) throw new AshlarError("internal", "a snapshot without a revision");
      return revision;
    },
  };
}

/** Checks the policy of a verified bundle. What is published is what is checked, because both have one digest. */
function checkBundle(deps: PublisherDeps, { snapshot }: Bundle): CheckedFiles {
  const objects = snapshot.units.flatMap(({ unit }) => objectsOf(unit));
  const place = { file: "bundle", line: 0, column: 0, whole: true, places: new Map() };
  const sourced = objects.map((object): SourcedObject => ({ object, ...place }));
  // what the mesh has of issuers and egresses is not warned of: their policy was meant for another mesh
  const findings = checkPolicy(sourced, { ...contextOf(deps), knownIssuers: undefined, knownEgresses: undefined });
  if (findings.some(({ severity }) => severity === "error")) return { findings, snapshot: undefined };
  const built = buildSnapshot(objects);
  if (built.list.digest === snapshot.list.digest) return { findings, snapshot: built };
  throw new AshlarError("invalid_record", "bundle: its units are not what this version of Ashlar would make of them");
}

async function importBundle(deps: PublisherDeps, options: ImportOptions, caller: OperatorCaller): Promise<Published> {
  const bundle = parseBundle(options.bundle);
  const { mesh, rootHash, revision } = bundle;
  if (options.rootHash !== "" && options.rootHash !== rootHash) {
    throw new AshlarError(
      "denied",
      `bundle: it comes from a mesh ${mesh} with root hash ${rootHash}, not from the one asked for`,
    );
  }
  const from = `imported from mesh ${mesh}, revision ${revision.body.number}`;
  const message = options.message === "" ? from : options.message;
  return publish(deps, checkBundle(deps, bundle), { ...options, message }, caller);
}

function checkFiles(deps: PublisherDeps, memory: FileMemory, files: readonly PolicyFile[]): CheckedFiles {
  checkBounds(files);
  const parsed = parsePolicyFiles(files, memory);
  const context = contextOf(deps);
  const findings = inReadingOrder(files, [...parsed.findings, ...checkPolicy(parsed.objects, context)]);
  if (findings.some(({ severity }) => severity === "error")) return { findings, snapshot: undefined };
  return { findings, snapshot: buildSnapshot(parsed.objects.map(({ object }) => object)) };
}

/** Sorts findings by file in the given order, line and column. Findings without a file come last. */
function inReadingOrder(files: readonly PolicyFile[], findings: readonly Finding[]): readonly Finding[] {
  const place = new Map(files.map(({ name }, index) => [name, index]));
  const at = ({ file }: Finding) => place.get(file) ?? files.length;
  return [...findings].sort((a, b) => at(a) - at(b) || a.line - b.line || a.column - b.column);
}

async function publish(
  deps: PublisherDeps,
  { findings, snapshot }: CheckedFiles,
  options: Pick<PublishOptions, "message" | "parent" | "allowEmpty">,
  caller: OperatorCaller,
): Promise<Published> {
  const { revisions, snapshots } = deps;
  checkMessage(options.message);
  if (snapshot !== undefined && hasNoObject(snapshot) && !options.allowEmpty) throw emptyPolicy();
  if (snapshot !== undefined) await deps.beforeSigning?.();
  const head = revisions.head();
  if (snapshot === undefined) return { findings, created: false, revision: undefined };
  if (options.parent !== undefined && options.parent !== (head?.body.number ?? 0)) {
    throw new AshlarError("conflict", `the head of the log is not revision ${options.parent}: ${renderHead(head)}`);
  }
  if (head?.body.snapshot === snapshot.list.digest) {
    await snapshots.restore(snapshot);
    return { findings, created: false, revision: head };
  }
  await deps.journals?.forSnapshot(snapshot);
  const before = head === undefined ? emptyList : await loadIfThere(snapshots, head.body.snapshot);
  await snapshots.store(snapshot, before);
  const body: Revision = {
    number: (head?.body.number ?? 0) + 1,
    parent: parentAfter(head),
    snapshot: snapshot.list.digest,
    changes: before === undefined ? [] : changesBetween(before, snapshot.list), // empty: readers then fetch the list
    author: caller.id,
    message: options.message,
    timeMs: deps.clock.nowMs(),
  };
  // a proxy may have told of the revision of another control plane before the log did
  await deps.beforeSigning?.();
  if (!mayPublish(revisions.head(), body)) {
    throw new AshlarError("conflict", `somebody else was first: ${renderHead(revisions.head())}`);
  }
  const revision = signRevision(body, deps.mesh, deps.signer);
  await revisions.append(revision);
  return { findings, created: true, revision };
}

function hasNoObject({ units }: Snapshot): boolean {
  return units.every(({ unit }) => objectsOf(unit).length === 0);
}

/** Returns the error for empty policy, which is more often given by accident than on purpose. */
function emptyPolicy(): AshlarError {
  const description = "without it, policy that has no object is refused";
  const why = "the policy given has no object at all, and would take the whole policy of the mesh away";
  const message = `${why}; if that is meant, say so (--allow-empty, allow_empty)`;
  return invalidFields("invalid_argument", message, [{ field: "allow_empty", description }]);
}

/** Returns undefined if the snapshot is lost. The next revision does not need it. */
async function loadIfThere(snapshots: SnapshotStore, digest: Digest): Promise<SnapshotList | undefined> {
  try {
    return await snapshots.loadList(digest);
  } catch (error) {
    if (isAshlarError(error, "stale")) return undefined;
    throw error;
  }
}

const emptyList: SnapshotList = encodeSnapshotList([]);

function renderHead(head: Signed<Revision> | undefined): string {
  if (head === undefined) return "nothing has been published yet";
  const { number, author, message } = head.body;
  const said = message === "" ? "" : `: ${message.split("\n", 1)[0]?.slice(0, 100)}`;
  return `it is revision ${number} by ${author}${said}`;
}

function renderAudit({ created, revision, findings }: Published): {
  target?: string;
  outcome?: string;
  detail?: string;
} {
  if (revision === undefined) {
    const errors = findings.filter(({ severity }) => severity === "error");
    const { file = "", line = 0, message = "" } = errors[0] ?? {};
    return {
      outcome: "invalid_policy",
      detail: `${errors.length} errors; first ${file}:${line}: ${message}`.slice(0, 1024),
    };
  }
  const target = `revision ${revision.body.number}`;
  return created ? { target } : { target, detail: "it says the same already" };
}

function checkBounds(files: readonly PolicyFile[]): void {
  const refuse = (field: string, description: string) => {
    throw invalidFields("invalid_argument", `${field}: ${description}`, [{ field, description }]);
  };
  if (files.length === 0) refuse("files", "none given; they are the whole desired state, and an empty file is one too");
  if (files.length > filesMax) refuse("files", `${files.length} files, at most ${filesMax} are read`);
  let bytes = 0;
  for (const [index, { name, content }] of files.entries()) {
    if (Buffer.byteLength(name) > fileNameBytesMax)
      refuse(`files[${index}].name`, `longer than ${fileNameBytesMax} bytes`);
    bytes += Buffer.byteLength(content);
  }
  if (bytes > filesBytesMax) {
    throw new AshlarError("limit", `files: ${bytes} bytes together, at most ${filesBytesMax} are read`);
  }
}

function checkMessage(message: string): void {
  const bytes = Buffer.byteLength(message);
  if (bytes <= messageBytesMax) return;
  const description = `${bytes} bytes, at most ${messageBytesMax} are kept`;
  throw invalidFields("invalid_argument", `message: ${description}`, [{ field: "message", description }]);
}

/** Warns and asks before a policy removes much, because an empty pipe or a wrong folder is easily given by mistake. */
import { AshlarError } from "../core/errors.js";
import { buildSnapshot } from "../core/snapshot/build.js";
import type { Cli } from "./cli.js";
import type { AdminClient, DiffSide, ObjectChange, PolicyFile, ProxyInfo } from "./client.js";
import { type FindingJson, renderFinding } from "./findings.js";
import { counted } from "./output.js";

const namedMax = 10;

export interface Removals {
  /** True if the files contain no object at all. */
  readonly isEmpty: boolean;
  /**
   * Returns a warning for each removed service with live proxies, and one if more than half of all objects are removed.
   */
  readonly warnings: readonly FindingJson[];
}

/** Returns what `files` remove from the policy in force, or nothing if they have errors, which publishing reports. */
export async function findRemovals(
  admin: Pick<AdminClient, "diffRevisions" | "listProxies">,
  files: readonly PolicyFile[],
): Promise<Removals> {
  return findRemovalsTo(admin, { side: { $case: "files", value: { files: [...files] } } });
}

/** Returns the same for another side of a diff. */
export async function findRemovalsTo(
  admin: Pick<AdminClient, "diffRevisions" | "listProxies">,
  to: DiffSide,
): Promise<Removals> {
  const compared = await compare(admin, to);
  if (compared instanceof AshlarError) {
    const message = `what it takes away is not known, since the policy in force cannot be read: ${compared.message}`;
    return { isEmpty: false, warnings: [warning(message)] }; // publishing refuses empty policy nevertheless
  }
  const { objects, fromObjects, toSnapshot } = compared;
  const isEmpty = toSnapshot === buildSnapshot([]).list.digest;
  const removed = objects.filter(({ change }) => change === "removed");
  const services = removed.filter(({ kind }) => kind === "Service").map(({ name }) => name);
  const live = services.length === 0 ? [] : (await admin.listProxies({})).proxies.filter((proxy) => proxy.live);
  return { isEmpty, warnings: removalsOf(removed, services, live, fromObjects).map(warning) };
}

/**
 * Returns the difference from the policy in force, or why that policy is lost: its replacement must not wait for it.
 */
async function compare(admin: Pick<AdminClient, "diffRevisions">, to: DiffSide) {
  try {
    return await admin.diffRevisions({ from: undefined, to, namesOnly: true });
  } catch (error) {
    if (error instanceof AshlarError && error.code === "stale") return error;
    throw error;
  }
}

function warning(message: string): FindingJson {
  return { severity: "warning", file: "", line: 0, column: 0, field: "", message };
}

/** Returns the error for empty policy, which is more often given by accident than on purpose. */
export function emptyPolicy(): AshlarError {
  const why = "the files hold no object at all: that would take the whole policy of the mesh away";
  return new AshlarError("invalid_argument", `nothing was published: ${why}; give --allow-empty if it is meant`);
}

function removalsOf(
  removed: readonly ObjectChange[],
  services: readonly string[],
  live: readonly ProxyInfo[],
  total: number,
): readonly string[] {
  const inUse = services.flatMap((service) => {
    const ids = live.filter((proxy) => proxy.service === service).map(({ id }) => id);
    if (ids.length === 0) return [];
    const proxies = ids.length === 1 ? "1 live proxy" : `${ids.length} live proxies`;
    return [`it takes away service ${service}, which has ${proxies}: ${listed(ids)}`];
  });
  if (total === 0 || removed.length * 2 <= total) return inUse; // 0 if the control plane does not count them
  const names = listed(removed.map(({ kind, name }) => `${kind} ${name}`));
  return [...inUse, `it takes away ${removed.length} of ${counted(total, "object")}: ${names}`];
}

function listed(names: readonly string[]): string {
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : "";
  return `${names.slice(0, namedMax).join(", ")}${more}`;
}

/**
 * Shows the warnings and asks if there is a terminal. Fails with `denied`, and says what to do, if there is none or the
 * answer is no.
 */
export async function confirmRemovals(
  cli: Cli,
  warnings: readonly FindingJson[],
  { isMeant, mayAsk }: { readonly isMeant: boolean; readonly mayAsk: boolean },
): Promise<void> {
  for (const finding of warnings) cli.note(renderFinding(finding));
  if (warnings.length === 0 || isMeant) return;
  const answer = mayAsk ? await cli.confirm("Apply it? [y/N] ") : undefined;
  if (answer === true) return;
  const remedy = "look at it with --dry-run, and give --yes if it is meant";
  const why =
    answer === false ? "the answer was no" : `it takes a lot away, and there is no terminal to ask: ${remedy}`;
  throw new AshlarError("denied", `nothing was published: ${why}`);
}

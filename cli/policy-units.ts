/** Compiles the policy of a revision or of files on the operator's machine. */
import { BoundedMap } from "../core/bounded-map.js";
import { AshlarError } from "../core/errors.js";
import type { Finding, PolicyFile, Unit } from "../core/model.js";
import { type CompiledUnit, compileUnit } from "../core/policy/compile.js";
import { unitsOf } from "../core/snapshot/build.js";
import { checkPolicy } from "../core/snapshot/check.js";
import { parsePolicyFiles } from "../core/snapshot/parse-files.js";
import { parseBundle } from "../core/wire/bundle.js";
import type { AdminClient } from "./client.js";

export interface PolicyUnit {
  readonly unit: Unit;
  readonly compiled: CompiledUnit;
}

export interface PolicyUnits {
  /** The name of the policy's source in messages: "revision 3", "the files". */
  readonly name: string;
  readonly mesh: string;
  /** Returns undefined if the policy has no such service. */
  find(service: string): PolicyUnit | undefined;
}

/** Fetches the policy of a revision; 0: the active one. Every part is checked by its digest. */
export async function fetchPolicy(admin: Pick<AdminClient, "exportRevision">, number: number): Promise<PolicyUnits> {
  const { bundle } = await admin.exportRevision({ number });
  const { mesh, revision, snapshot } = parseBundle(bundle);
  const units = snapshot.units.map(({ unit }) => unit);
  return unitsNamed(`revision ${revision.body.number}`, mesh, units);
}

/** Parses the policy of files, and returns all findings; undefined: there are errors. */
export function readPolicy(
  files: readonly PolicyFile[],
  mesh: string,
): { readonly findings: readonly Finding[]; readonly policy: PolicyUnits | undefined } {
  const { objects, findings: parsing } = parsePolicyFiles(files);
  const findings = [...parsing, ...checkPolicy(objects, { mesh })];
  if (findings.some(({ severity }) => severity === "error")) return { findings, policy: undefined };
  return { findings, policy: unitsNamed("the files", mesh, unitsOf(objects.map(({ object }) => object))) };
}

function unitsNamed(name: string, mesh: string, units: readonly Unit[]): PolicyUnits {
  const byName = new Map(units.map((unit) => [unit.name, unit]));
  const compiled = new Map<string, PolicyUnit>();
  return {
    name,
    mesh,
    find(service) {
      const known = compiled.get(service);
      if (known !== undefined) return known;
      const unit = byName.get(service);
      if (unit === undefined) return undefined;
      const found = { unit, compiled: compileUnit(unit, mesh) };
      compiled.set(service, found);
      return found;
    },
  };
}

/** Caches the policies of revisions that decisions name. Each is fetched once, and only the last ones are kept. */
export class RevisionCache {
  readonly #admin: Pick<AdminClient, "exportRevision">;
  readonly #kept: BoundedMap<number, PolicyUnits | undefined>;

  constructor(admin: Pick<AdminClient, "exportRevision">, max = 32) {
    this.#admin = admin;
    this.#kept = new BoundedMap(max);
  }

  /** Loads these revisions for `find`. A revision that is missing is skipped; its decisions are then not checked. */
  async fetch(numbers: Iterable<number>): Promise<void> {
    for (const number of new Set(numbers)) {
      if (this.#kept.has(number)) continue;
      this.#kept.set(number, number === 0 ? undefined : await this.#fetchOne(number));
    }
  }

  find(number: number): PolicyUnits | undefined {
    return this.#kept.get(number);
  }

  async #fetchOne(number: number): Promise<PolicyUnits | undefined> {
    try {
      return await fetchPolicy(this.#admin, number);
    } catch (error) {
      if (error instanceof AshlarError && (error.code === "not_found" || error.code === "limit")) return undefined;
      throw error;
    }
  }
}

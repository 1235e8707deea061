/** A revision that is ready to be evaluated: its list, and the compiled units that this proxy uses. */

import type { Digest } from "../../core/digest.js";
import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import { meshUnitName, type Revision, type Signed, type SnapshotList } from "../../core/model.js";
import type { CompiledUnit } from "../../core/policy/compile.js";
import { type CompiledTelemetry, noTelemetry, telemetryWith } from "../../core/policy/compiled-telemetry.js";
import type { EvaluatedPolicy } from "../ports.js";

export interface HeldUnit {
  readonly digest: Digest;
  /** The compiled parts. */
  readonly bytes: Uint8Array;
  readonly compiled: CompiledUnit;
}

/** The compiled parts of a revision that calls are judged by. */
export interface EvaluableRevision {
  readonly revision: { readonly digest: Digest; readonly body: Pick<Revision, "number"> };
  readonly list: Pick<SnapshotList, "units">;
  /** Units by name. A unit is added when its service is called for the first time. */
  readonly units: ReadonlyMap<string, Pick<HeldUnit, "compiled">>;
}

export interface HeldRevision extends EvaluableRevision {
  readonly revision: Signed<Revision>;
  readonly list: SnapshotList;
  readonly units: Map<string, HeldUnit>;
}

/** Returns the digest of a unit in the list, which is sorted by name. undefined: the revision has no such unit. */
export function findUnitDigest(list: Pick<SnapshotList, "units">, name: string): Digest | undefined {
  let [low, high] = [0, list.units.length - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const ref = list.units[middle];
    if (ref === undefined) return undefined;
    if (ref.name === name) return ref.digest;
    if (ref.name < name) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

const noIssuers: readonly JwtIssuer[] = [];

/** The policy of a held revision, in the form by which calls are judged. */
export class HeldPolicy<Held extends EvaluableRevision = HeldRevision> implements EvaluatedPolicy {
  readonly epoch: number;
  readonly revision: number;
  readonly revisionDigest: Digest;
  readonly held: Held;

  constructor(epoch: number, held: Held) {
    this.epoch = epoch;
    this.revision = held.revision.body.number;
    this.revisionDigest = held.revision.digest;
    this.held = held;
  }

  unit(service: string): CompiledUnit | undefined {
    return service === meshUnitName ? undefined : this.held.units.get(service)?.compiled;
  }

  get issuers(): readonly JwtIssuer[] {
    return this.held.units.get(meshUnitName)?.compiled.issuers ?? noIssuers;
  }

  telemetry(service: string): CompiledTelemetry {
    const { units } = this.held;
    const own = this.unit(service)?.telemetry ?? noTelemetry;
    return telemetryWith(own, units.get(meshUnitName)?.compiled.telemetry ?? noTelemetry);
  }

  has(service: string): boolean {
    return service !== meshUnitName && findUnitDigest(this.held.list, service) !== undefined;
  }
}

/** Findings about policy files, as the control plane sent them. */
import type { Finding } from "./client.js";
import { plain } from "./output.js";

export interface FindingJson {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly field: string;
  readonly message: string;
}

/** Returns whether a finding is an error. A severity that this version does not know counts as an error. */
export function findingToJson({ severity, file, line, column, field, message }: Finding): FindingJson {
  return { severity: severity === warning ? "warning" : "error", file, line, column, field, message };
}

/** "policy.yaml:3:7: error: …"; a finding without a place has no numbers. */
export function renderFinding({ severity, file, line, column, message }: FindingJson): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return plain(`${place === "" ? "policy" : place}: ${severity}: ${message}`);
}

const warning = 2; // ashlar.v1.Finding.SEVERITY_WARNING

/** Renders findings about policy files that the control plane sent. */
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

/** Renders a finding as "policy.yaml:3:7: error: …"; one without a place has no numbers. */
export function renderFinding({ severity, file, line, column, message }: FindingJson): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return plain(`${place === "" ? "policy" : place}: ${severity}: ${message}`);
}

const warning = 2; // ashlar.v1.Finding.SEVERITY_WARNING

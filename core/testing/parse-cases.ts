import type { Finding, PolicyFile } from "../model.js";
import { renderNearest } from "../snapshot/nearest.js";
import { readYaml } from "../snapshot/read-yaml.js";
import { FindingList, Reading } from "../snapshot/reading.js";
import { caseList, type PolicyCase } from "./case-shape.js";

export interface ParsedCases {
  readonly cases: readonly PolicyCase[];
  readonly findings: readonly Finding[];
}

const fileBytesMax = 1024 * 1024;
const casesMax = 10_000;
const documentsMax = 1000;

/**
 * Parses files of policy tests. Never throws on their content: every problem is a finding with its place, including a
 * service that is not in `services`. The cases may only be run if there is no finding. Bounds: 1 MiB in a file and
 * 10,000 cases in all.
 */
export function parseCases(files: readonly PolicyFile[], services: readonly string[]): ParsedCases {
  const findings = new FindingList();
  const cases: PolicyCase[] = [];
  for (const { name: file, content } of files) {
    const refuse = (message: string, line = 0, column = 0): void =>
      findings.add({ severity: "error", file, line, column, field: "", message });
    const bytes = Buffer.byteLength(content);
    if (bytes > fileBytesMax) {
      refuse(`the file has ${bytes} bytes, at most ${fileBytesMax} are read; split it`);
      continue;
    }
    const { documents, lines, problem } = readYaml(content, documentsMax);
    if (problem !== undefined) {
      const { line, col } = lines.linePos(problem.offset);
      refuse(problem.message, line, col);
    }
    for (const document of documents) {
      const reading = new Reading({ name: file, content }, document, lines, findings);
      const before = findings.count;
      for (const { pos, message } of [...document.errors, ...document.warnings])
        reading.report(reading.placeAt(pos[0], ""), `not YAML as it should be: ${message}`);
      if (findings.count > before || document.contents === null) continue;
      const found = caseList.read(document.contents, "", reading) ?? [];
      for (const [index, one] of found.entries()) reportUnknown(one, `cases[${index}]`, services, reading);
      cases.push(...found.map((one) => ({ ...one, file })));
    }
    if (cases.length > casesMax) {
      refuse(`more than ${casesMax} cases in all; from here on they are not read`);
      break;
    }
  }
  return { cases, findings: findings.list() };
}

/**
 * Reports callers and methods that policy does not know: a mistyped name would be denied, and a test that expects a
 * denial would prove nothing.
 */
function reportUnknown(
  { caller, service }: PolicyCase,
  place: string,
  services: readonly string[],
  reading: Reading,
): void {
  for (const [field, name] of [
    ["caller", caller],
    ["call", service],
  ] as const) {
    const at = reading.places.get(`${place}.${field}`);
    if (at === undefined || name === "" || name.startsWith("spiffe://") || services.includes(name)) continue;
    reading.report(at, `there is no service ${JSON.stringify(name)}${renderNearest(name, services)}`);
  }
}

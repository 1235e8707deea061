import { findKind, kindOf, kinds } from "../kinds/table.js";
import type { Finding, PolicyFile, PolicyObject } from "../model.js";
import { type Descriptor, descriptor } from "./descriptor-shape.js";
import { renderNearest } from "./nearest.js";
import { numberPrivateFields } from "./private-fields.js";
import { fileTokensMax, readYaml, type YamlDocument } from "./read-yaml.js";
import { FindingList, Reading } from "./reading.js";
import { describe, pairsOf, quote } from "./shapes.js";
import type { SourcedObject } from "./sourced-object.js";
import { stateMethods } from "./stated-methods.js";
import { isMap, isScalar } from "./yaml-nodes.js";

export type { SourcedObject } from "./sourced-object.js";

export interface ParsedFiles {
  readonly objects: readonly SourcedObject[];
  readonly findings: readonly Finding[];
}

/** The most bytes of a policy file. */
export const fileBytesMax = 1024 * 1024;
const totalBytesMax = 8 * 1024 * 1024;
const objectsMax = 50_000;
/** The most YAML tokens of all files together. 10,000 services with a rule each have 460,000. */
const totalTokensMax = 700_000;
const allKindNames = [...kinds.map(({ kind }) => kind), "Descriptor"];

interface Read {
  readonly objects: SourcedObject[];
  readonly descriptors: Descriptor[];
  tokens: number;
}

/**
 * Remembers the content and the objects of the files that were last parsed without a finding, so that after a change to
 * one file of thousands only that one is parsed.
 */
export class FileMemory {
  known: ReadonlyMap<string, { readonly content: string; readonly read: Read }> = new Map();
}

/**
 * Parses policy files: YAML or JSON, with several documents in a file. Never throws on their content: every problem is
 * a finding with its place, and all are reported at once. If there is an error among the findings, the objects may only
 * be used for `checkPolicy`. Bounds: 1 MiB and 250,000 tokens in a file; 8 MiB, 50,000 objects and 700,000 tokens in
 * all. With a memory, files whose name and content are unchanged give the same JavaScript objects.
 */
export function parsePolicyFiles(files: readonly PolicyFile[], memory = new FileMemory()): ParsedFiles {
  const findings = new FindingList();
  const read: Read = { objects: [], descriptors: [], tokens: 0 };
  const known: Map<string, { content: string; read: Read }> = new Map();
  let totalBytes = 0;
  for (const { name, content } of files) {
    const bytes = Buffer.byteLength(content);
    totalBytes += bytes;
    const refuse = (message: string): void =>
      findings.add({ severity: "error", file: name, line: 0, column: 0, field: "", message });
    if (bytes > fileBytesMax) refuse(`the file has ${bytes} bytes, at most ${fileBytesMax} are read; split it`);
    else if (totalBytes > totalBytesMax) {
      refuse(`the files have more than ${totalBytesMax} bytes together; from here on they are not read`);
      break;
    } else {
      const found = findings.count;
      const file = recall(memory, { name, content }, read) ?? parseFile({ name, content }, read, findings);
      read.objects.push(...file.objects);
      read.descriptors.push(...file.descriptors);
      read.tokens += file.tokens;
      if (findings.count === found) known.set(name, { content, read: file });
    }
  }
  memory.known = known;
  refuseRepeated(read.objects, findings);
  const report = (finding: Finding): void => findings.add(finding);
  const stated = stateMethods(read.objects, read.descriptors, report);
  return { objects: numberPrivateFields(stated, read.descriptors, report), findings: findings.list() };
}

/** Returns the remembered objects of a file, if the bounds still allow them after `before`. */
function recall(memory: FileMemory, { name, content }: PolicyFile, before: Read): Read | undefined {
  const known = memory.known.get(name);
  if (known?.content !== content) return undefined;
  const fits = before.tokens + known.read.tokens <= totalTokensMax;
  return fits && countOf(before) + countOf(known.read) <= objectsMax ? known.read : undefined;
}

function countOf({ objects, descriptors }: Read): number {
  return objects.length + descriptors.length;
}

/** Parses one file. `before`: what was read so far, which counts towards the bounds. */
function parseFile(policyFile: PolicyFile, before: Read, findings: FindingList): Read {
  const { name: file, content } = policyFile;
  const [objects, descriptors]: [SourcedObject[], Descriptor[]] = [[], []];
  const left = totalTokensMax - before.tokens;
  const { documents, lines, tokens, problem } = readYaml(
    content,
    objectsMax - countOf(before),
    Math.min(fileTokensMax, left),
  );
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.offset);
    findings.add({ severity: "error", file, line, column: col, field: "", message: problem.message });
  }
  for (const document of documents) {
    const reading = new Reading(policyFile, document, lines, findings);
    const found = findings.count;
    for (const { pos, message } of [...document.errors, ...document.warnings])
      reading.report(reading.placeAt(pos[0], ""), `not YAML as it should be: ${message}`);
    // A document that does not parse yields no reliable content, so findings about it would mislead.
    if (findings.count > found) continue;
    const object = parseDocument(document, reading);
    if (object === undefined || object.name === "") continue;
    if (object.kind === "Descriptor") {
      descriptors.push(object);
      continue;
    }
    const { line, column } = reading.place(document.contents, "");
    objects.push({ object, file, line, column, whole: findings.count === found, places: reading.places });
  }
  return { objects, descriptors, tokens };
}

/** Returns the object of a document, or undefined if the document is empty or its error was reported. */
function parseDocument(document: YamlDocument, reading: Reading): PolicyObject | Descriptor | undefined {
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null && contents.source === "")) return undefined;
  const start = reading.place(contents, "");
  if (!isMap(contents))
    return reading.report(start, `expected an object with kind and name, found ${describe(contents)}`);
  const kindPair = contents.items.find((pair) => isScalar(pair.key) && pair.key.value === "kind");
  const expected = `expected ${allKindNames.join(", ")}`;
  if (kindPair === undefined) return reading.report({ ...start, field: "kind" }, `"kind" is missing: ${expected}`);
  const value = isScalar(kindPair.value) ? kindPair.value.value : undefined;
  const kind = findKind(value);
  if (kind !== undefined) return kind.shape.read(contents, "", reading);
  if (value === "Descriptor") return descriptor.read(contents, "", reading);
  const place = reading.place(kindPair.value ?? kindPair.key, "kind");
  pairsOf(contents, "", reading); // fields that are there twice are worth knowing whatever the kind
  if (typeof value !== "string") return reading.report(place, `${expected}, found ${describe(kindPair.value)}`);
  return reading.report(place, `unknown kind ${quote(value)}: ${expected}${renderNearest(value, allKindNames)}`);
}

/** Kinds that share names: calls name a service or an egress by its name alone. */
const sharesNames: { readonly [Kind in PolicyObject["kind"]]?: PolicyObject["kind"] } = {
  Service: "Egress",
  Egress: "Service",
};

/** Reports names that are used twice within a kind, and second objects of kinds of which a service has only one. */
function refuseRepeated(objects: readonly SourcedObject[], findings: FindingList): void {
  const first = new Map<string, Map<string, SourcedObject>>();
  const tell = (what: string, name: string, sourced: SourcedObject, field: string, other: SourcedObject): void => {
    const { line, column } = sourced.places.get(field) ?? sourced;
    const message = `${what} ${name} is there already: ${other.file}:${other.line}:${other.column}`;
    findings.add({ severity: "error", file: sourced.file, line, column, field, message });
  };
  const refuse = (what: string, name: string, sourced: SourcedObject, field: string): void => {
    const ofKind = first.get(what) ?? new Map<string, SourcedObject>();
    first.set(what, ofKind);
    const other = ofKind.get(name);
    if (other === undefined) {
      ofKind.set(name, sourced);
      return;
    }
    tell(what, name, sourced, field, other);
  };
  for (const sourced of objects) {
    const { object } = sourced;
    refuse(object.kind, object.name, sourced, "name");
    const twin = sharesNames[object.kind];
    const other = twin && first.get(twin)?.get(object.name);
    if (twin !== undefined && other !== undefined) tell(twin, object.name, sourced, "name", other);
    const { service } = object as { readonly service?: string };
    const { isOnePerService, unit } = kindOf(object);
    if (!isOnePerService || service === "") continue;
    if (service !== undefined) refuse(`a ${object.kind} for service`, service, sourced, "service");
    else if (unit === "either") refuse(`a ${object.kind} for`, "the mesh", sourced, "name");
  }
}

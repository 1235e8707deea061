/** The state of reading one policy file: the places of values, the findings, and how much more may be read. */
import type { LineCounter, Node } from "yaml";
import type { Finding, PolicyFile } from "../finding.js";
import type { YamlDocument } from "./read-yaml.js";
import { scalarOffset } from "./scalar-offset.js";
import { isAlias } from "./yaml-nodes.js";

/** A place in a policy file. */
export interface Place {
  readonly line: number;
  readonly column: number;
  /** The field at the place, such as "allow[0].from[1]". */
  readonly field: string;
}

/** Collects findings up to a bound, and counts those above it (I8). */
export class FindingList {
  readonly #findings: Finding[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(finding: Finding): void {
    this.#count += 1;
    if (this.#findings.length < findingsMax) this.#findings.push(finding);
  }

  /** Returns the findings in the order in which they were added; a last one says how many more there are. */
  list(): Finding[] {
    const more = this.#count - this.#findings.length;
    if (more === 0) return [...this.#findings];
    const message = `${more} more findings are not shown`;
    return [...this.#findings, { severity: "error", file: "", line: 0, column: 0, field: "", message }];
  }
}

const findingsMax = 1000;
const aliasesMax = 100;

/** The state of reading one document. */
export class Reading {
  /** The places of the object's texts: by field, and by list and text ("allow[0].from=checkout"). */
  readonly places = new Map<string, Place>();
  readonly #file: string;
  readonly #content: string;
  readonly #document: YamlDocument;
  readonly #lines: LineCounter;
  readonly #findings: FindingList;
  #aliases = 0;

  constructor({ name, content }: PolicyFile, document: YamlDocument, lines: LineCounter, findings: FindingList) {
    this.#file = name;
    this.#content = content;
    this.#document = document;
    this.#lines = lines;
    this.#findings = findings;
  }

  placeAt(offset: number, field: string): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col), field };
  }

  place(node: Node | null | undefined, field: string): Place {
    return this.placeAt(node?.range?.[0] ?? this.#document.range[0], field);
  }

  /** Returns the place of the character at `offset` of a text. */
  placeWithin(node: Node, text: string, offset: number, field: string): Place {
    return this.placeAt(scalarOffset(this.#content, node.range?.[0] ?? 0, text, offset), field);
  }

  report(place: Place, message: string): undefined {
    this.#findings.add({ severity: "error", file: this.#file, ...place, message });
  }

  /** Returns the node itself, or the node that an alias refers to; undefined: an error was reported. */
  follow(node: Node | null, field: string): Node | null | undefined {
    if (!isAlias(node)) return node;
    this.#aliases += 1;
    if (this.#aliases > aliasesMax)
      return this.report(this.place(node, field), `more than ${aliasesMax} aliases in one document`);
    const target = node.resolve(this.#document);
    return (
      target ?? this.report(this.place(node, field), `there is no anchor "&${node.source.slice(0, 64)}" before it`)
    );
  }
}

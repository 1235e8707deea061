/**
 * Generates the reference part of a kind's page: a table of all fields, made from the same statement that the parser
 * uses.
 */

import type { Kind } from "../../core/kinds/kind.js";
import type { PolicyObject } from "../../core/kinds/table.js";
import type { Field, Shape } from "../../core/snapshot/shapes.js";

const begin = "<!-- fields: written by UPDATE_GOLDEN=1 npm test -- test/golden/reference -->";
const end = "<!-- end of fields -->";

/** Returns the table of the fields of a kind, between the marks that enclose it on its page. */
function renderReference({ shape }: Kind<PolicyObject>): string {
  const rows = rowsOf(shape, "").map((cells) => `| ${cells.join(" | ")} |`);
  return [begin, "", "| field | what it takes | what it says |", "|---|---|---|", ...rows, "", end].join("\n");
}

/** Returns the page with its reference part replaced. Fails with a TypeError if the page has no marks for it. */
export function withReference(page: string, kind: Kind<PolicyObject>): string {
  const from = page.indexOf("<!-- fields");
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new TypeError(`the page of ${kind.kind} lacks "<!-- fields -->" and "${end}"`);
  return `${page.slice(0, from)}${renderReference(kind)}${page.slice(to + end.length)}`;
}

function rowsOf(shape: Shape<unknown>, path: string): (readonly string[])[] {
  return Object.entries(shape.fields ?? {}).flatMap(([name, field]) => {
    const inner = field.shape.item ?? field.shape;
    const below = `${path}${name}${field.shape.item === undefined ? "." : "[]."}`;
    return [[`\`${path}${name}\``, takes(field), cell(field.about)], ...rowsOf(inner, below)];
  });
}

function takes({ shape, required, missing }: Field<unknown>): string {
  const stated = typeof missing === "string" && missing !== "" ? `; default \`${missing}\`` : "";
  return `${cell(shape.expected)}${required ? "; required" : stated}`;
}

/** Returns the text with the escapes that a table cell needs. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

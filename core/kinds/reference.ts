/** The reference part of a kind's page: every field, from the statement that the parser reads by. */
import type { Field, Shape } from "../snapshot/shapes.js";
import type { Kind } from "./kind.js";
import type { PolicyObject } from "./table.js";

const begin = "<!-- fields: written by UPDATE_GOLDEN=1 npm test -- test/golden/reference -->";
const end = "<!-- end of fields -->";

/** The table of the fields of a kind, with the marks that stand around it on its page. */
function renderReference({ shape }: Kind<PolicyObject>): string {
  const rows = rowsOf(shape, "").map((cells) => `| ${cells.join(" | ")} |`);
  return [begin, "", "| field | what it takes | what it says |", "|---|---|---|", ...rows, "", end].join("\n");
}

/** The page with its reference part put right. Fails with a TypeError if the page has no place for it. */
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

/** A text as a cell of a table takes it. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

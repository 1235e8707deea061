/** Prints the differences between two revisions. */
import type { AccessChange, ObjectChange } from "./client.js";
import { plain, renderTable, visible } from "./output.js";

/** Returns the differences for JSON, with the field names of the contract. */
export function objectToJson({ change, kind, name, lines }: ObjectChange) {
  return { change, kind, name, lines };
}

export function accessToJson({ caller, service, method, change, before, after }: AccessChange) {
  return { caller, service, method, change, before, after };
}

/** Renders objects with their changed lines. */
export function renderObjects(objects: readonly ObjectChange[]): readonly string[] {
  return objects.flatMap(({ change, kind, name, lines }) => [
    plain(`${change} ${kind} ${name}`),
    ...lines.map((line) => `  ${visible(line.trimEnd())}`),
  ]);
}

/** Returns the table of changed access, method by method. */
export function renderAccess(access: readonly AccessChange[]): readonly string[] {
  if (access.length === 0) return [];
  const isConditional = access.some(({ before, after }) => !isPlain(before) || !isPlain(after));
  const rows = access.map(({ caller, change, service, method, before, after }) => {
    return [caller, change, `${service}/${method}`, ...(isConditional ? [plain(before), plain(after)] : [])];
  });
  const columns = ["CALLER", "ACCESS", "METHOD", ...(isConditional ? ["BEFORE", "AFTER"] : [])];
  return ["", ...renderTable(columns, rows).split("\n")];
}

/** Returns whether an access is no condition. */
function isPlain(access: string): boolean {
  return ["", "allowed", "denied"].includes(access);
}

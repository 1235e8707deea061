/** What differs between two revisions, for people. */
import type { AccessChange, ObjectChange } from "./client.js";
import { plain, renderTable } from "./output.js";

/** Objects with their changed lines. */
export function renderObjects(objects: readonly ObjectChange[]): readonly string[] {
  return objects.flatMap(({ change, kind, name, lines }) => [
    plain(`${change} ${kind} ${name}`),
    ...lines.map((line) => `  ${line.trimEnd()}`),
  ]);
}

/** Who gains and who loses access, method by method. */
export function renderAccess(access: readonly AccessChange[]): readonly string[] {
  if (access.length === 0) return [];
  const rows = access.map(({ caller, change, service, method }) => [caller, change, `${service}/${method}`]);
  return ["", ...renderTable(["CALLER", "ACCESS", "METHOD"], rows).split("\n")];
}

/** The reference part of each kind's page is what its statement says; UPDATE_GOLDEN=1 writes it anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { kinds } from "../../core/kinds/table.js";
import { withReference } from "../support/reference-page.js";

test.each(kinds.map((kind) => [kind.kind, kind] as const))("the page of %s has all its fields", (_name, kind) => {
  const file = join("docs", kind.page);
  const page = readFileSync(file, "utf8");
  const right = withReference(page, kind);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, right);
  else expect(page).toBe(right);
});

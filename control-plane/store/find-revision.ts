import { AshlarError } from "../../core/errors.js";
import type { Revision, Signed } from "../../core/model.js";
import type { Ledger } from "./ledger.js";

/** Returns the revision with this number. Fails with `not_found` and says which numbers exist. */
export function findRevision(ledger: Pick<Ledger, "revisions">, number: number): Signed<Revision> {
  const revision = ledger.revisions.find(number);
  if (revision !== undefined) return revision;
  const newest = ledger.revisions.head()?.body.number;
  throw new AshlarError(
    "not_found",
    newest === undefined
      ? `there is no revision ${number}: nothing has been published yet`
      : `there is no revision ${number}; the newest is ${newest}`,
  );
}

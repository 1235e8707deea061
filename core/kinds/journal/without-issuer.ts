import { readKeyExpression } from "../../policy/condition/key-expression.js";
import type { PolicyChecker } from "../checker.js";

/** Warns of an expression that reads a token where no token is verified. */
export function warnWithoutIssuer(text: string | undefined, place: string, checker: PolicyChecker): void {
  const found = text === undefined ? [] : readKeyExpression(text);
  if (!checker.hasIssuers && "reads" in found && (found.reads.has("jwt") || found.reads.has("issuer")))
    checker.warn(place, "it reads the token, and no JwtIssuer is in the policy: every write is refused");
}

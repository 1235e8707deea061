/** kind: JwtIssuer */
import { isAudience, isClaimName, issuerTextsMax } from "../../snapshot/grammar.js";
import { defineKind, type ObjectWith } from "../kind.js";
import { textSet } from "../list.js";
import { label } from "../names.js";
import { maybe, optional, record, required } from "../record.js";
import { text } from "../types.js";

const whyTooMany = ({ length }: readonly string[]): string | undefined =>
  length > issuerTextsMax ? `${length} items, at most ${issuerTextsMax} are allowed` : undefined;

const audience = text({
  expected: "an audience: 1 to 256 printable characters without spaces",
  pattern: "^[!-~]{1,256}$",
  valid: isAudience,
});
const claim = text({ expected: "the name of a claim", pattern: "^[!-~]{1,128}$", valid: isClaimName });
const claims = { whenEmpty: "name claims, or leave it out", why: whyTooMany };

const forwarding = record("services and claims", {
  to: required(
    4,
    textSet(label, { whenEmpty: "name services, or leave forwardClaims out", neverEmpty: true }),
    [],
    "Services whose applications are handed the claims, in the header ashlar-claims.",
  ),
  claims: required(
    5,
    textSet(claim, { ...claims, neverEmpty: true }),
    [],
    "The claims that they are handed, where a token has them.",
  ),
});

const fields = {
  name: required(1, label, "", "Unique among the issuers of the mesh; `ashlar issuer set` gives it its URL and keys."),
  /** A token must be meant for one of these audiences; sorted, not empty. */
  audiences: required(
    2,
    textSet(audience, { whenEmpty: "a token has to be meant for somebody", neverEmpty: true, why: whyTooMany }),
    [],
    "A token has to be meant for one of these (aud).",
  ),
  /** Claims that a token must have with a value other than null; sorted. */
  requiredClaims: optional(
    3,
    textSet(claim, claims),
    [],
    "Claims that have to be there and not null; exp and iss always have to.",
  ),
  /**
   * Services whose applications receive the listed claims of verified tokens; both lists sorted, not empty. Left out:
   * none.
   */
  forwardClaims: maybe(undefined, forwarding, "Claims of verified tokens for applications; left out: none."),
};

/**
 * States an issuer whose tokens are accepted, and what they must contain. Its URL and keys are in the trust log under
 * the same name.
 */
export interface JwtIssuer extends ObjectWith<"JwtIssuer", typeof fields> {}

export const jwtIssuer = defineKind("JwtIssuer", fields, {
  noun: "issuer",
  about: "Whose tokens are taken, and what has to be in them. Its URL and keys are in the trust log.",
  page: "policy-jwt.md",
  unit: "mesh",
  key: "issuers",
  number: 7,
  check({ name, forwardClaims }, checker) {
    for (const service of forwardClaims?.to ?? []) checker.service(service, `forwardClaims.to=${service}`);
    const known = checker.context.knownIssuers;
    if (known === undefined || known.has(name)) return;
    const remedy = `ashlar issuer set ${name} --issuer URL --jwks FILE|URL`;
    const nearest = checker.nearest(name, () => known);
    checker.warn("name", `the mesh has no keys of ${name}, so its tokens are refused: ${remedy}${nearest}`);
  },
});

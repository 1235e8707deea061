/** A JwtIssuer in a policy file. */

import type { PolicyObject } from "../model.js";
import type { JwtIssuer } from "../token/token-model.js";
import { isAudience, isClaimName, issuerTextsMax } from "./grammar.js";
import { fine, itself, kindOf, label } from "./name-shapes.js";
import { list, optional, record, required, type Shape, text } from "./shapes.js";

const audience = text("an audience: 1 to 256 printable characters without spaces", "^[!-~]{1,256}$", fine(isAudience));
const claim = text("the name of a claim", "^[!-~]{1,128}$", fine(isClaimName));
const whyTooMany = ({ length }: readonly string[]): string | undefined =>
  length > issuerTextsMax ? `${length} items, at most ${issuerTextsMax} are allowed` : undefined;
const services = list(label, { whenEmpty: "name services, or leave forwardClaims out", keyOf: itself });
const claims = list(claim, { whenEmpty: "name claims, or leave it out", keyOf: itself, why: whyTooMany });

const forwarding = record<{ to: readonly string[]; claims: readonly string[] }>("services and claims", {
  to: required(services, [], "Services whose applications are handed the claims, in the header ashlar-claims."),
  claims: required(claims, [], "The claims that they are handed, where a token has them."),
});
const written = record<Record<"kind", string> & Required<Omit<JwtIssuer, "kind">>>("a JwtIssuer", {
  kind: kindOf("JwtIssuer"),
  name: required(label, "", "Unique among the issuers of the mesh; `ashlar issuer set` gives it its URL and keys."),
  audiences: required(
    list(audience, { whenEmpty: "a token has to be meant for somebody", keyOf: itself, why: whyTooMany }),
    [],
    "A token has to be meant for one of these (aud).",
  ),
  requiredClaims: optional(claims, [], "Claims that have to be there and not null; exp and iss always have to."),
  forwardClaims: optional(forwarding, undefined, "Claims of verified tokens for applications; left out: none."),
});

/** How a JwtIssuer is written. */
export const jwtIssuer: Shape<PolicyObject> = {
  ...written,
  read(node, field, reading) {
    const found = written.read(node, field, reading);
    if (found === undefined) return undefined;
    const { name, audiences, requiredClaims, forwardClaims } = found;
    const forwards = forwardClaims === undefined ? {} : { forwardClaims };
    return { kind: "JwtIssuer", name, audiences, requiredClaims, ...forwards } satisfies JwtIssuer;
  },
};

/**
 * The kinds of policy, in the order in which units hold them and files list them. Everything else loops over this
 * table.
 */
import { assertion } from "./assertion/assertion.js";
import { authorization } from "./authorization/authorization.js";
import { egress } from "./egress/egress.js";
import { gateway } from "./gateway/gateway.js";
import { journal } from "./journal/journal.js";
import { jwtIssuer } from "./jwt-issuer/jwt-issuer.js";
import type { Kind } from "./kind.js";
import { rateLimit } from "./rate-limit/rate-limit.js";
import { resilience } from "./resilience/resilience.js";
import { route } from "./route/route.js";
import { service } from "./service/service.js";
import { telemetry } from "./telemetry/telemetry.js";

const table = [
  service,
  authorization,
  route,
  assertion,
  rateLimit,
  jwtIssuer,
  resilience,
  gateway,
  egress,
  journal,
  telemetry,
] as const;
type Table = (typeof table)[number];
type ObjectOf<K> = K extends Kind<infer Object, string> ? Object : never;

/** An object of a policy file. */
export type PolicyObject = ObjectOf<Table>;

/** All policy about one service (or, under the name "@mesh", about the mesh): the objects by kind. */
export type Unit = { readonly name: string } & {
  readonly [K in Table as K["key"]]: K["key"] extends "service" | "gateway" | "egress"
    ? ObjectOf<K> | undefined
    : readonly ObjectOf<K>[];
};

/** The table of kinds with one common type, for code that handles all kinds alike. */
export const kinds = table as unknown as readonly Kind<PolicyObject>[];

const byName = new Map<string, Kind<PolicyObject>>(kinds.map((kind) => [kind.kind, kind]));

/** Returns the kind of that name, or undefined if there is none. */
export function findKind(name: unknown): Kind<PolicyObject> | undefined {
  return typeof name === "string" ? byName.get(name) : undefined;
}

/** Returns the kind of an object. */
export function kindOf(object: PolicyObject): Kind<PolicyObject> {
  return byName.get(object.kind) as Kind<PolicyObject>; // every object was made by its kind
}

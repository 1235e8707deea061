/** kind: Authorization */
import { isGatewayCaller } from "../../identity.js";
import { parseCondition } from "../../policy/condition/condition.js";
import { condition } from "../condition.js";
import { defineKind, type ObjectWith } from "../kind.js";
import { list } from "../list.js";
import { callers, callersOrAny, clients, label, methodPatterns } from "../names.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";

const allowRule = {
  /** Service names of this mesh, SPIFFE IDs in full, or "*"; sorted. Empty: any (deny only). */
  from: required(1, callers, [], "Callers."),
  /** "package.Service/Method", "package.Service/*" or "*"; sorted. Empty: any. */
  methods: optional(2, methodPatterns, [], "Methods; left out: all."),
  /** Sorted; left out: any. */
  client: maybe(
    4,
    clients,
    "Outside clients, as a gateway of `from` has proved them by their certificates; left out: any, proved or not.",
  ),
  /** A condition in CEL that has to hold too; left out: none. */
  when: maybe(3, condition, "A condition in CEL on the call; left out: none."),
};
const denyRule = { ...allowRule, from: optional(1, callersOrAny, [], "Callers; left out: any.") };

const fields = {
  name: required(1, label, "", "Unique among the authorizations of the mesh; decisions name it."),
  service: required(2, label, "", "The service it protects."),
  allow: optional(
    3,
    list(record("a rule", allowRule), { whenEmpty: "" }),
    [],
    "Calls that match one of these are allowed.",
  ),
  deny: optional(
    4,
    list(record("a rule", denyRule), { whenEmpty: "" }),
    [],
    "Calls that match one of these are denied; deny wins.",
  ),
};

/** States who may call a service. */
export interface Authorization extends ObjectWith<"Authorization", typeof fields> {}

export const authorization = defineKind("Authorization", fields, {
  noun: "authorization",
  about: "Who may call a service. Deny wins over allow; what nothing matches is denied.",
  page: "policy-authorization.md",
  unit: "service",
  key: "authorizations",
  number: 3,
  exposes: ({ service }) => service,
  check(object, checker) {
    if (!checker.service(object.service, "service")) return;
    for (const effect of ["allow", "deny"] as const) {
      for (const [index, { from, methods, client, when }] of object[effect].entries()) {
        const place = `${effect}[${index}]`;
        checker.callers(from, place);
        checker.methods(object.service, methods, `${place}.methods`);
        if (client !== undefined && !from.some((name) => name === "*" || isGatewayCaller(name)))
          checker.warn(
            `${place}.client`,
            "only a gateway proves outside clients, and `from` names none: it never matches",
          );
        if (checker.hasIssuers || when === undefined || !parseCondition(when).readsToken) continue;
        const message = "it reads a token, and no JwtIssuer says whose tokens are taken, so none ever is; add one";
        checker.warn(`${place}.when`, message);
      }
    }
  },
});

/** One line of an authorization. */
export interface AuthorizationRule extends RecordOf<typeof denyRule> {}

/** kind: Assertion */
import { defineKind, type ObjectWith } from "../kind.js";
import { callers, label, methodPatterns } from "../names.js";
import { optional, required } from "../record.js";
import { oneOf } from "../types.js";
import { writtenClaim } from "./written-claim.js";

const fields = {
  name: required(1, label, "", "Unique among the assertions of the mesh; findings name it."),
  /** The service that is called. */
  service: required(2, label, "", "The service that is called."),
  /**
   * "never": none of the pairs may call, not even under a condition. "always": all pairs may call, without a condition.
   */
  claim: required(3, oneOf({ never: 1, always: 2 }), "never", "What has to hold."),
  /** Service names of this mesh, SPIFFE IDs in full, or "*" for each and every caller; sorted, not empty. */
  from: required(4, callers, [], 'Callers; "*": each and every one.'),
  /** "package.Service/Method", "package.Service/*" or "*"; sorted. Empty: all. */
  methods: optional(5, methodPatterns, [], "Methods; left out: all of the service."),
};

/** States what must hold of the access to a service. */
export interface Assertion extends ObjectWith<"Assertion", typeof fields> {}

export const assertion = defineKind("Assertion", fields, {
  noun: "assertion",
  about: "What has to hold of the access to a service, or the revision is refused.",
  page: "policy-assertions.md",
  unit: "service",
  key: "assertions",
  number: 5,
  written: writtenClaim,
  check({ claim, service, from, methods }, checker) {
    if (!checker.service(service, `${claim}.to`)) return;
    checker.callers(from, claim);
    checker.methods(service, methods, `${claim}.methods`);
  },
});

/** kind: Service */
import { defineKind, type ObjectWith } from "../kind.js";
import { list, textSet } from "../list.js";
import { label, method, statedMethod } from "../names.js";
import { optional, required } from "../record.js";
import { writtenAs } from "../type.js";

const stated = list(statedMethod, {
  whenEmpty: "leave it out if the methods are not stated",
  sortBy: (each) => each,
});

const fields = {
  name: required(1, label, "", "Unique in the mesh."),
  /** "package.Service/Method", sorted; empty: not stated. */
  methods: optional(
    2,
    writtenAs(textSet(method, { whenEmpty: "" }), stated.shape),
    [],
    'All methods of the service; "package.Service/*": those of its descriptor. Calls of others are denied; left out: not stated.',
  ),
};

/** A service that exists in the mesh. */
export interface Service extends ObjectWith<"Service", typeof fields> {}

export const service = defineKind("Service", fields, {
  noun: "service",
  about: "A service that exists in the mesh.",
  page: "policy-service.md",
  unit: "service",
  key: "service",
  number: 2,
  isSingle: true,
  exposes: ({ name, methods }) => (methods.length > 0 ? name : undefined),
});

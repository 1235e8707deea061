/** kind: Gateway */
import { defineKind, type ObjectWith } from "../kind.js";
import { list } from "../list.js";
import { label } from "../names.js";
import { required } from "../record.js";
import { type EdgeListener, listener } from "./listener.js";

const fields = {
  name: required(1, label, "", "Unique among the gateways of the mesh; policy calls it gateway/NAME."),
  listeners: required(
    2,
    list(listener, {
      whenEmpty: "a gateway without a listener has no use",
      neverEmpty: true,
      sortBy: ({ name }) => name,
    }),
    [],
    "Ways in, by name.",
  ),
};

/** States which methods of the mesh are exposed to outside clients, and who may call them. */
export interface Gateway extends ObjectWith<"Gateway", typeof fields> {}

export const gateway = defineKind("Gateway", fields, {
  noun: "gateway",
  about:
    "What exists of the mesh for clients outside. Ports, host names, origins and certificates are flags of `ashlar gateway`.",
  page: "policy-gateway.md",
  unit: "gateway",
  key: "gateway",
  number: 9,
  isSingle: true,
  check({ name, listeners }, checker) {
    for (const [index, one] of listeners.entries()) {
      const place = `listeners[${index}]`;
      checkExposed(`gateway/${name}`, one, place, checker);
      for (const issuer of one.callers.token ?? []) checker.issuer(issuer, `${place}.callers.token=${issuer}`);
      if (one.cors !== undefined && !one.protocols.some((protocol) => protocol !== "grpc"))
        checker.error(`${place}.cors`, "pages speak grpc-web or connect: name one of them under protocols");
    }
  },
});

type Checker = Parameters<NonNullable<typeof gateway.check>>[1];

/** Checks that each method is exposed once, so that its name alone says which service gets the call. */
function checkExposed(caller: string, { expose }: EdgeListener, place: string, checker: Checker): void {
  const exposedBy = new Map<string, string>();
  for (const [index, { service, methods }] of expose.entries()) {
    if (!checker.service(service, `${place}.expose[${index}].service`)) continue;
    if (checker.isOutside(service))
      checker.error(`${place}.expose[${index}].service`, `${service} is an Egress: clients outside call it there`);
    checker.methods(service, methods, `${place}.expose[${index}].methods`);
    for (const method of methods) {
      const before = exposedBy.get(method);
      if (before !== undefined)
        checker.error(`${place}.expose[${index}].methods=${method}`, `${method} is exposed by ${before} already`);
      exposedBy.set(method, service);
    }
    if (!checker.mayCall(caller, service))
      checker.warn(
        `${place}.expose[${index}]`,
        `no Authorization of ${service} allows ${caller}, so its calls are denied`,
      );
  }
}

export type { Cors, EdgeCallers, EdgeLimits, EdgeListener, EdgeProtocol, Exposed } from "./listener.js";

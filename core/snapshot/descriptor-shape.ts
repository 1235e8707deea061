/** A Descriptor in a policy file: the methods of one gRPC service, as its .proto says. It is no part of a snapshot. */
import { serviceOfMethod } from "./grammar.js";
import { fine, itself, kindOf } from "./name-shapes.js";
import { list, record, required, type Shape, text } from "./shapes.js";

export interface Descriptor {
  readonly kind: "Descriptor";
  /** "package.Service". */
  readonly name: string;
  /** Names without the service. */
  readonly methods: readonly string[];
}

const serviceGrammar = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
const methodGrammar = /^[A-Za-z_]\w*$/;
const nameLengthMax = 256;

const serviceName = text(
  "a gRPC service: package.Service",
  serviceGrammar.source,
  fine((value) => value.length <= nameLengthMax && serviceGrammar.test(value)),
);
const methodName = text(
  "a method's name without its service",
  methodGrammar.source,
  fine(
    (value) => value.length <= nameLengthMax && methodGrammar.test(value),
    (value) => (value.includes("/") ? `leave out ${JSON.stringify(`${serviceOfMethod(value)}/`)}` : ""),
  ),
);

const written = record("a Descriptor", {
  kind: kindOf("Descriptor"),
  name: required(serviceName, "", 'The gRPC service: "package.Service".'),
  methods: required(
    list(methodName, { whenEmpty: "name the methods of the gRPC service", keyOf: itself }),
    [],
    "All its methods, without the service.",
  ),
});

export const descriptor: Shape<Descriptor> = {
  ...written,
  read(node, field, reading) {
    const value = written.read(node, field, reading);
    return value === undefined ? undefined : { kind: "Descriptor", name: value.name, methods: value.methods };
  },
};

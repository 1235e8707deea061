/**
 * A Descriptor in a policy file: the methods of one gRPC service, as its .proto states them. It is not part of a
 * snapshot.
 */

import {
  messageTypePattern,
  methodTypesPattern,
  parseMessageType,
  parseMethodTypes,
} from "../journal/private/message-types.js";
import { constant, text } from "../kinds/types.js";
import { serviceOfMethod } from "./grammar.js";
import { list, optional, record, required, type Shape } from "./shapes.js";

export interface Descriptor {
  readonly kind: "Descriptor";
  /** "package.Service". */
  readonly name: string;
  /** The names of the methods without the service. */
  readonly methods: readonly string[];
  /**
   * Methods with `idempotency_level = IDEMPOTENT`, and those with NO_SIDE_EFFECTS (descriptor.proto, MethodOptions).
   */
  readonly idempotent: readonly string[];
  readonly noSideEffects: readonly string[];
  /** The messages of methods, and the fields of messages (`message-types.ts`). */
  readonly types: readonly string[];
  readonly messages: readonly string[];
}

const serviceGrammar = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
const methodGrammar = /^[A-Za-z_]\w*$/;
const nameLengthMax = 256;

const serviceName = text({
  expected: "a gRPC service: package.Service",
  pattern: serviceGrammar.source,
  valid: (value) => value.length <= nameLengthMax && serviceGrammar.test(value),
}).shape;
const methodName = text({
  expected: "a method's name without its service",
  pattern: methodGrammar.source,
  valid: (value) => value.length <= nameLengthMax && methodGrammar.test(value),
  hint: (value) => (value.includes("/") ? `leave out ${JSON.stringify(`${serviceOfMethod(value)}/`)}` : ""),
}).shape;

const methodNames = list(methodName, { whenEmpty: "leave it out", keyOf: (name) => name });

const types = text({
  expected: 'a method with its messages: "Method package.Request package.Response"',
  pattern: methodTypesPattern,
  valid: (value) => parseMethodTypes(value) !== undefined,
}).shape;
const messages = text({
  expected:
    'a message with its fields: "package.Message id=1 buyer=2:package.Person tags=3:map:package.Message.TagsEntry"',
  pattern: messageTypePattern,
  valid: (value) => parseMessageType(value) !== undefined,
}).shape;

const written = record("a Descriptor", {
  kind: required(constant("Descriptor").shape, "Descriptor", "The kind of object."),
  name: required(serviceName, "", 'The gRPC service: "package.Service".'),
  methods: required(
    list(methodName, { whenEmpty: "name the methods of the gRPC service", keyOf: (name) => name }),
    [],
    "All its methods, without the service.",
  ),
  idempotent: optional(methodNames, [], "Those that it marks IDEMPOTENT."),
  noSideEffects: optional(methodNames, [], "Those that it marks NO_SIDE_EFFECTS."),
  types: optional(list(types, { whenEmpty: "leave it out" }), [], "The messages of methods."),
  messages: optional(list(messages, { whenEmpty: "leave it out" }), [], "The fields of messages, by name and number."),
});

export const descriptor: Shape<Descriptor> = {
  ...written,
  read(node, field, reading) {
    const value = written.read(node, field, reading);
    return value === undefined ? undefined : { ...value, kind: "Descriptor" };
  },
};

/** kind: Journal */
import { serviceOfMethod } from "../../snapshot/grammar.js";
import { sizeOf } from "../amounts.js";
import { keyExpression } from "../condition.js";
import { defineKind, type ObjectWith } from "../kind.js";
import { label, methodPatterns, operatorNames, readers } from "../names.js";
import { maybe, optional, required } from "../record.js";
import { duration, oneOf } from "../types.js";
import { checkPrivate, privateFields } from "./private.js";
import { checkReads, journalReads } from "./reads.js";
import { warnWithoutIssuer } from "./without-issuer.js";

/** A record with its signature must fit into one NATS message that a proxy may send. */
const messagesMax = sizeOf({ min: 1024, max: 384 * 1024 });
const dayMs = 86_400_000;

const fields = {
  name: required(1, label, "", "Unique among the journals of the mesh."),
  service: required(2, label, "", "The service that is called; at most one Journal a service."),
  methods: maybe(3, methodPatterns, "Its writes; left out: every method that the Service does not mark noSideEffects."),
  mode: required(
    4,
    oneOf({ before: 1, after: 2 }),
    "before",
    "before: a write is forwarded once the journal has it. after: it is appended with its outcome, before it is answered.",
  ),
  idempotencyKey: optional(
    5,
    keyExpression,
    undefined,
    "CEL that makes the key of a call, of 1 to 512 bytes: a call that comes again under its key gets the recorded outcome.",
  ),
  orderBy: optional(
    6,
    keyExpression,
    undefined,
    "CEL that makes the order key of a call, of 1 to 512 bytes: writes of one order key are applied one after the other.",
  ),
  rememberKeysMs: maybe(
    7,
    duration({ bounds: "from 1m to 168h", msMin: 60_000, msMax: 7 * dayMs, whenShort: "1m is the shortest" }),
    "How long a key is remembered; left out: 24h where there is an idempotencyKey.",
    { name: "rememberKeys" },
  ),
  response: required(
    8,
    oneOf({ bytes: 1, digest: 2 }),
    "bytes",
    "What the journal keeps of a response: bytes, or its digest and length. Repeats under a key need the bytes.",
  ),
  requestBytesMax: maybe(
    9,
    messagesMax,
    "A write whose messages are longer is answered 8 before anything is appended; left out: 256KiB.",
    { name: "requestMax" },
  ),
  responseBytesMax: maybe(
    10,
    messagesMax,
    "Of a longer response the journal keeps the digest alone, and a repeat is answered 8; left out: 256KiB.",
    { name: "responseMax" },
  ),
  readers: maybe(
    11,
    readers,
    "Who may follow its events: services of this mesh, or SPIFFE IDs in full; left out: nobody.",
  ),
  replayers: maybe(
    12,
    operatorNames,
    "Operators, by name, who may send its history to a version that takes no live calls; left out: nobody.",
  ),
  streamBytesMax: maybe(
    17,
    sizeOf({ min: 1024, max: 3 * 1024 * 1024 }),
    "A request of several messages is appended message by message, and they have at most so many bytes together; left out: it is one record of at most requestMax.",
    { name: "streamMax" },
  ),
  bidirectional: maybe(
    18,
    methodPatterns,
    "Writes that answer while they are still asked: messages pass one by one, and the entry comes last, with the outcome; left out: none.",
  ),
  reads: maybe(
    13,
    journalReads,
    "Where methods go that are marked noSideEffects: proxied (the default) as all calls do, replica to these instances, direct also without the caller's proxy.",
  ),
  private: maybe(
    undefined,
    privateFields,
    "Fields that are stored for their holder alone, until their subject is shredded; left out: none. A list of { field, subject } names fields by message type.",
  ),
};

/** States which writes of a service are appended to its journal, and how. */
export interface Journal extends ObjectWith<"Journal", typeof fields> {}

/** `streamBytesMax` is at most this many times `requestBytesMax`, because one entry names all records of a stream. */
const messagesOfStreamMax = 1024;
export const defaultMessagesBytesMax = 256 * 1024;
export const defaultRememberKeysMs = dayMs;
/**
 * The shortest time for which the stream rejects a repeated message id, in milliseconds: two copies of an outcome
 * within this time are stored once.
 */
export const idsKnownMsMin = 120_000;

export const journal = defineKind("Journal", fields, {
  noun: "journal",
  about: "Which writes of a service are appended to its journal before they are forwarded, and in which order.",
  page: "policy-journal.md",
  unit: "service",
  key: "journals",
  number: 12,
  isOnePerService: true,
  exposes: ({ service }) => service,
  check(object, checker) {
    const { service, methods = [], mode, idempotencyKey, orderBy, response, rememberKeysMs, readers = [] } = object;
    if (!checker.service(service, "service")) return;
    if (checker.isOutside(service))
      checker.error("service", `${service} is an Egress: no proxy is there that would keep a journal`);
    checker.methods(service, methods, "methods");
    const { requestBytesMax = defaultMessagesBytesMax, streamBytesMax = requestBytesMax } = object;
    if (streamBytesMax < requestBytesMax)
      checker.error("streamMax", `less than requestMax, which is ${requestBytesMax} bytes and bounds each message`);
    if (streamBytesMax > messagesOfStreamMax * requestBytesMax)
      checker.error(
        "streamMax",
        `more than ${messagesOfStreamMax} times requestMax, which is ${requestBytesMax} bytes`,
      );
    const { bidirectional = [] } = object;
    checker.methods(service, bidirectional, "bidirectional");
    for (const method of methods.length > 0 ? bidirectional : [])
      if (![method, `${serviceOfMethod(method)}/*`, "*"].some((pattern) => methods.includes(pattern)))
        checker.error("bidirectional", `${method} is no write of this journal: name it in methods, too`);
    for (const [place, key] of [["idempotencyKey", idempotencyKey] as const, ["orderBy", orderBy] as const])
      if (bidirectional.length > 0 && key !== undefined)
        checker.error(
          "bidirectional",
          `not with ${place}: such a write is applied before the journal knows its place; leave the method out of methods`,
        );
    for (const name of readers) if (!name.startsWith("spiffe:")) checker.service(name, `readers=${name}`);
    if (mode === "after") {
      const remedy =
        "needs mode before: in mode after the application has applied a write before the journal knows of it";
      if (idempotencyKey !== undefined) checker.error("idempotencyKey", `a key ${remedy}`);
      if (orderBy !== undefined) checker.error("orderBy", `an order ${remedy}`);
    }
    if (idempotencyKey !== undefined && response === "digest")
      checker.error("response", "a repeat under an idempotencyKey is answered with the response: say bytes");
    if (idempotencyKey === undefined && rememberKeysMs !== undefined)
      checker.error("rememberKeys", "there is no idempotencyKey to remember");
    for (const place of ["idempotencyKey", "orderBy"] as const) warnWithoutIssuer(object[place], place, checker);
    if (object.reads !== undefined) checkReads(service, object.reads, checker);
    if (object.private !== undefined) checkPrivate(object, object.private, checker);
  },
});

/**
 * Decision records. The signed statement beside a batch (statement.ts) names the proxy that wrote it. A batch that
 * names another proxy, or has decisions of another service, is refused.
 */
import {
  DecisionBatch as BatchMessage,
  Decision as DecisionMessage,
  Decision_Direction as direction,
} from "../../proto/gen/ashlar/v1/decision.js";
import type { DecisionBatch, DecisionDirection, DecisionRecord } from "../decision/decision-record.js";
import { AshlarError } from "../errors.js";
import { gatewayNameIn, isLabel, trustDomainOf, workloadIn } from "../identity.js";
import { isEdgeProtocol } from "../kinds/gateway/listener.js";
import { boundedList, boundedText, integer } from "./bounds.js";
import { parseInputs, renderInputs } from "./decision-inputs.js";
import { checkWriter, type FleetWriter } from "./fleet.js";
import { methodBytesMax, parseCaller, parseCount, renderCount, ruleBytesMax } from "./refusal-counts.js";
import { decodeStrict, reading, refuseUnknownFields } from "./strict.js";
import { parseVerdict, verdictOf } from "./verdicts.js";

/** The most bytes of a batch: it fits the default size of a NATS message, with room for headers. */
const batchBytesMax = 512 * 1024;
const decisionsMax = 10_000;
const countsMax = 1_000;
const tokenProblemBytesMax = 1024;
const itemsMax = 256;
/** The most bytes of a service's name, or of "gateway/" and a name. */
const workloadBytesMax = 71;

const directions = {
  inbound: direction.DIRECTION_INBOUND,
  outbound: direction.DIRECTION_OUTBOUND,
  egress: direction.DIRECTION_EGRESS,
  edge: direction.DIRECTION_EDGE,
} as const satisfies Record<DecisionDirection, direction>;
const directionOf = new Map<direction, DecisionDirection>(
  Object.entries(directions).map(([way, value]) => [value, way as DecisionDirection]),
);

/** Returns the bytes of one decision. */
export function encodeDecision(record: DecisionRecord): Uint8Array {
  return DecisionMessage.encode(renderDecision(record)).finish();
}

/** Returns the bytes of a batch of decisions that are already encoded. */
export function encodeBatch(about: Omit<DecisionBatch, "decisions">, decisions: readonly Uint8Array[]): Uint8Array {
  const head = BatchMessage.encode({ ...about, counted: about.counted.map(renderCount), decisions: [] }).finish();
  const parts: Uint8Array[] = [head];
  for (const bytes of decisions) parts.push(lengthPrefix(bytes.length), bytes);
  return Buffer.concat(parts);
}

/** Returns the message of a batch, as the admin API sends it. */
export function renderBatch(batch: DecisionBatch): BatchMessage {
  return { ...batch, counted: batch.counted.map(renderCount), decisions: batch.decisions.map(renderDecision) };
}

/** Parses a batch that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseBatch(bytes: Uint8Array, writer: FleetWriter): DecisionBatch {
  const what = "decision batch";
  if (bytes.length > batchBytesMax)
    throw new AshlarError("limit", `${what}: ${bytes.length} bytes, at most ${batchBytesMax} are read`);
  const message = reading(what, () => BatchMessage.decode(bytes));
  return batchOf(message, writer);
}

/** Parses a batch from a message of the admin API. */
export function batchOf(message: BatchMessage, writer: FleetWriter): DecisionBatch {
  const what = "decision batch";
  return reading(what, () => {
    checkWriter(message, writer);
    refuseUnknown(message, what);
    const { share } = message;
    if (!(share >= 0 && share <= 1)) throw new AshlarError("invalid_record", `share is ${share}, not within 0..1`);
    return {
      service: message.service,
      proxyId: message.proxyId,
      share,
      dropped: integer("dropped", message.dropped, 0),
      counted: boundedList("counted", message.counted, countsMax).map(parseCount),
      decisions: boundedList("decisions", message.decisions, decisionsMax).map((decision) =>
        requireOwn(parseDecision(decision), writer),
      ),
    };
  });
}

/**
 * A proxy may only report decisions about calls to its own service and calls made by its own service; a gateway also
 * those about calls that leave the mesh through it.
 */
function requireOwn(decision: DecisionRecord, { service }: FleetWriter): DecisionRecord {
  const { direction: way, service: called, caller } = decision;
  if (way === "egress" && gatewayNameIn(service) !== undefined) return decision;
  if (way === "edge" && gatewayNameIn(service) === undefined)
    throw new AshlarError("invalid_record", `${service} is no gateway, and has a decision of one`);
  if (way === "inbound" || way === "edge" ? called === service : workloadIn(caller, trustDomainOf(caller)) === service)
    return decision;
  throw new AshlarError("invalid_record", `a decision is not one of ${service}'s`);
}

/** Parses one decision; fails with `invalid_record` or `limit`. */
export function parseDecisionBytes(bytes: Uint8Array): DecisionRecord {
  return decisionOf(decodeStrict(DecisionMessage, bytes, "decision", batchBytesMax));
}

/** Parses one decision from a message of the admin API. */
export function decisionOf(message: DecisionMessage): DecisionRecord {
  refuseUnknownFields(message, "decision");
  return reading("decision", () => parseDecision(message));
}

/**
 * Refuses unknown fields in a batch. Batches have many decisions, so a decision's fields are only checked one by one if
 * it has an unknown field.
 */
function refuseUnknown(message: BatchMessage, what: string): void {
  const { decisions, ...rest } = message;
  refuseUnknownFields(rest, what);
  for (const decision of decisions) {
    const { headers, labels, sourceLabels, claims, limits } = decision;
    const parts = [headers, labels, sourceLabels, limits];
    const isKnown = hasNoUnknown(decision) && parts.every((part) => part.every(hasNoUnknown));
    if (!isKnown || claims.length > 0) refuseUnknownFields(decision, what);
  }
}

function hasNoUnknown(message: object): boolean {
  return !("_unknownFields" in message);
}

/** Returns the message of one decision, as the admin API sends it. */
export function renderDecision(record: DecisionRecord): DecisionMessage {
  const { inputs, routing } = record;
  return {
    id: Buffer.from(record.id, "hex"),
    direction: directions[record.direction],
    service: record.service,
    caller: record.caller,
    method: record.method,
    verdict: verdictOf[record.verdict],
    rule: record.rule,
    revision: record.revision,
    epoch: record.epoch,
    timeMs: record.timeMs,
    ...renderInputs(inputs),
    draw: routing?.draw ?? 0,
    version: record.version,
    available: [...(routing?.available ?? [])],
    limits: record.limits.map((limit) => ({ ...limit })),
    closed: record.closed,
    shadow: record.shadow,
    mirrored: record.mirrored === true,
    tokenProblem: record.tokenProblem ?? "",
    calledMethod: record.calledMethod ?? "",
    sentMethod: record.sentMethod ?? "",
    attempts: record.attempts ?? 0,
    traceId: Buffer.from(record.traceId ?? "", "hex"),
    protocol: record.protocol ?? "",
    reader: record.reader ?? "",
  };
}

function parseProtocol({ protocol }: DecisionMessage, way: DecisionDirection): Pick<DecisionRecord, "protocol"> {
  if (way !== "edge" && protocol === "") return {};
  if (way === "edge" && isEdgeProtocol(protocol)) return { protocol };
  throw new AshlarError("invalid_record", `protocol is ${JSON.stringify(protocol.slice(0, 64))}`);
}

function parseReader({ reader }: DecisionMessage, way: DecisionDirection): Pick<DecisionRecord, "reader"> {
  if (reader === "") return {};
  if (way === "inbound" && isLabel(reader)) return { reader };
  throw new AshlarError("invalid_record", `reader is ${JSON.stringify(reader.slice(0, 64))}`);
}

function parseTraceId(bytes: Uint8Array): Pick<DecisionRecord, "traceId"> {
  if (bytes.length === 0) return {};
  if (bytes.length !== 16) throw new AshlarError("invalid_record", `trace_id has ${bytes.length} bytes, not 16`);
  return { traceId: Buffer.from(bytes).toString("hex") };
}

function parseDecision(message: DecisionMessage): DecisionRecord {
  if (message.id.length !== 12) throw new AshlarError("invalid_record", `id has ${message.id.length} bytes, not 12`);
  const way = directionOf.get(message.direction);
  if (way === undefined) throw new AshlarError("invalid_record", `direction is ${message.direction}`);
  const isOutbound = way === "outbound";
  if (!(message.draw >= 0 && message.draw < 1)) throw new AshlarError("invalid_record", `draw is ${message.draw}`);
  return {
    id: message.id.toString("hex"),
    direction: way,
    service: boundedText("service", message.service, workloadBytesMax),
    caller: parseCaller(message.caller),
    method: boundedText("method", message.method, methodBytesMax),
    verdict: parseVerdict(message.verdict),
    rule: boundedText("rule", message.rule, ruleBytesMax),
    ...parseTokenProblem(message),
    ...parseWay(message, isOutbound),
    revision: integer("revision", message.revision, 0),
    epoch: integer("epoch", message.epoch, 0),
    timeMs: integer("time_ms", message.timeMs, 0),
    inputs: parseInputs(message),
    routing: isOutbound
      ? { draw: message.draw, available: boundedList("available", message.available, itemsMax) }
      : undefined,
    version: boundedText("version", message.version, 63),
    limits: boundedList("limits", message.limits, itemsMax).map(({ name, passed, pushbackMs }) => ({
      name: boundedText("limits.name", name, ruleBytesMax),
      passed,
      pushbackMs: integer("limits.pushback_ms", pushbackMs, 0),
    })),
    closed: message.closed,
    shadow: message.shadow,
    ...(message.mirrored ? { mirrored: true } : {}),
    ...parseTraceId(message.traceId),
    ...parseProtocol(message, way),
    ...parseReader(message, way),
  };
}

function parseTokenProblem({ tokenProblem, verdict }: DecisionMessage): Pick<DecisionRecord, "tokenProblem"> {
  if (tokenProblem === "") return {};
  if (parseVerdict(verdict) !== "unauthenticated")
    throw new AshlarError("invalid_record", "token_problem is set where no token was refused");
  return { tokenProblem: boundedText("token_problem", tokenProblem, tokenProblemBytesMax) };
}

/** Parses the method names and the number of tries that only one side of a call knows. */
function parseWay(
  { calledMethod, sentMethod, attempts }: DecisionMessage,
  isOutbound: boolean,
): Pick<DecisionRecord, "calledMethod" | "sentMethod" | "attempts"> {
  if (isOutbound ? calledMethod !== "" : sentMethod !== "" || attempts !== 0)
    throw new AshlarError("invalid_record", "a decision says what only the other half of its call knows");
  return {
    ...(calledMethod === "" ? {} : { calledMethod: boundedText("called_method", calledMethod, methodBytesMax) }),
    ...(sentMethod === "" ? {} : { sentMethod: boundedText("sent_method", sentMethod, methodBytesMax) }),
    ...(attempts === 0 ? {} : { attempts: integer("attempts", attempts, 1) }),
  };
}

/** Returns the tag of field 6 of a batch (length-delimited) and the length. */
function lengthPrefix(length: number): Uint8Array {
  const bytes = [(6 << 3) | 2];
  let left = length;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  bytes.push(left);
  return Uint8Array.from(bytes);
}

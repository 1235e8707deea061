/**
 * Decision records. The signed statement beside a batch (statement.ts) names the proxy that wrote it. A batch that
 * names another proxy, or has decisions of another service, is refused.
 */
import {
  DecisionBatch as BatchMessage,
  Decision as DecisionMessage,
  Decision_Direction as direction,
  RecordedState as state,
} from "../../proto/gen/ashlar/v1/decision.js";
import {
  type DecisionBatch,
  type DecisionDirection,
  type DecisionInputs,
  type DecisionRecord,
  noInputs,
  type Recorded,
} from "../decision/decision-record.js";
import { AshlarError } from "../errors.js";
import { gatewayNameIn, trustDomainOf, workloadIn } from "../identity.js";
import type { Label } from "../model.js";
import { boundedList, boundedText, integer } from "./bounds.js";
import { checkWriter, type FleetWriter } from "./fleet.js";
import { parseValue, renderValue } from "./recorded-values.js";
import { methodBytesMax, parseCaller, parseCount, renderCount, ruleBytesMax } from "./refusal-counts.js";
import { decodeStrict, reading, refuseUnknownFields } from "./strict.js";
import { parseVerdict, verdictOf } from "./verdicts.js";

/** A batch is at most so long: what NATS takes by default, with room for its headers. */
const batchBytesMax = 512 * 1024;
const decisionsMax = 10_000;
const countsMax = 1_000;
const tokenProblemBytesMax = 1024;
const itemsMax = 256;

const stateOf = {
  missing: state.RECORDED_STATE_MISSING,
  whole: state.RECORDED_STATE_WHOLE,
  digest: state.RECORDED_STATE_DIGEST,
  withheld: state.RECORDED_STATE_WITHHELD,
} as const satisfies Record<Recorded<unknown>["state"], state>;

const directions = {
  inbound: direction.DIRECTION_INBOUND,
  outbound: direction.DIRECTION_OUTBOUND,
  egress: direction.DIRECTION_EGRESS,
} as const satisfies Record<DecisionDirection, direction>;
const directionOf = new Map<direction, DecisionDirection>(
  Object.entries(directions).map(([way, value]) => [value, way as DecisionDirection]),
);

/** The bytes of one decision. */
export function encodeDecision(record: DecisionRecord): Uint8Array {
  return DecisionMessage.encode(renderDecision(record)).finish();
}

/** The bytes of a batch of decisions that are encoded already. */
export function encodeBatch(about: Omit<DecisionBatch, "decisions">, decisions: readonly Uint8Array[]): Uint8Array {
  const head = BatchMessage.encode({ ...about, counted: about.counted.map(renderCount), decisions: [] }).finish();
  const parts: Uint8Array[] = [head];
  for (const bytes of decisions) parts.push(lengthPrefix(bytes.length), bytes);
  return Buffer.concat(parts);
}

/** The message of a batch, as the admin API sends it. */
export function renderBatch(batch: DecisionBatch): BatchMessage {
  return { ...batch, counted: batch.counted.map(renderCount), decisions: batch.decisions.map(renderDecision) };
}

/** Reads a batch that came by `writer`'s subject; fails with `invalid_record` or `limit`. */
export function parseBatch(bytes: Uint8Array, writer: FleetWriter): DecisionBatch {
  const what = "decision batch";
  if (bytes.length > batchBytesMax)
    throw new AshlarError("limit", `${what}: ${bytes.length} bytes, at most ${batchBytesMax} are read`);
  const message = reading(what, () => BatchMessage.decode(bytes));
  return batchOf(message, writer);
}

/** Reads the same from a message of the admin API. */
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
  if (way === "inbound" ? called === service : workloadIn(caller, trustDomainOf(caller)) === service) return decision;
  throw new AshlarError("invalid_record", `a decision is not one of ${service}'s`);
}

/** Reads one decision; fails with `invalid_record` or `limit`. */
export function parseDecisionBytes(bytes: Uint8Array): DecisionRecord {
  return decisionOf(decodeStrict(DecisionMessage, bytes, "decision", batchBytesMax));
}

/** Reads the same from a message of the admin API. */
export function decisionOf(message: DecisionMessage): DecisionRecord {
  refuseUnknownFields(message, "decision");
  return reading("decision", () => parseDecision(message));
}

/** A batch has many decisions, so a decision is checked field by field only if it has an unknown field. */
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

/** The message of one decision, as the admin API sends it. */
export function renderDecision(record: DecisionRecord): DecisionMessage {
  const { inputs, routing } = record;
  const { source, labels, sourceLabels } = inputs;
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
    headers: inputs.headers.map(({ name, content, digest }) => ({
      name,
      state: stateOf[content.state],
      value: content.state === "whole" ? content.value : "",
      digest: Buffer.from(digest, "hex"),
    })),
    sourceRecorded: source !== undefined,
    sourceAddress: source?.address ?? "",
    labelsRecorded: labels !== undefined,
    labels: (labels ?? []).map((label) => ({ ...label })),
    sourceLabelsRecorded: sourceLabels !== undefined,
    sourceLabels: (sourceLabels ?? []).map((label) => ({ ...label })),
    claimsComplete: inputs.claimsComplete,
    claims: inputs.claims.map(({ name, content }) => ({
      name,
      state: stateOf[content.state],
      value: content.state === "whole" ? renderValue(content.value) : undefined,
    })),
    draw: routing?.draw ?? 0,
    version: record.version,
    available: [...(routing?.available ?? [])],
    limits: record.limits.map((limit) => ({ ...limit })),
    closed: record.closed,
    shadow: record.shadow,
    mirrored: record.mirrored === true,
    issuerRecorded: inputs.issuer !== undefined,
    tokenIssuer: inputs.issuer?.name ?? "",
    tokenProblem: record.tokenProblem ?? "",
    calledMethod: record.calledMethod ?? "",
    sentMethod: record.sentMethod ?? "",
    attempts: record.attempts ?? 0,
    traceId: Buffer.from(record.traceId ?? "", "hex"),
  };
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
    service: boundedText("service", message.service, 63),
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
  };
}

function parseTokenProblem({ tokenProblem, verdict }: DecisionMessage): Pick<DecisionRecord, "tokenProblem"> {
  if (tokenProblem === "") return {};
  if (parseVerdict(verdict) !== "unauthenticated")
    throw new AshlarError("invalid_record", "token_problem is set where no token was refused");
  return { tokenProblem: boundedText("token_problem", tokenProblem, tokenProblemBytesMax) };
}

/** What only one of the two halves of a call knows of its names and tries. */
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

function parseInputs(message: DecisionMessage): DecisionInputs {
  const { headers, claims, labels, sourceLabels, sourceRecorded, claimsComplete, issuerRecorded } = message;
  const isNothing = headers.length === 0 && claims.length === 0 && !sourceRecorded && !claimsComplete;
  if (isNothing && !message.labelsRecorded && !message.sourceLabelsRecorded && !issuerRecorded) return noInputs;
  return {
    headers: boundedList("headers", headers, itemsMax).map((header) => ({
      name: header.name,
      content: parseContent(header.state, () => header.value),
      digest: header.digest.toString("hex"),
    })),
    source: sourceRecorded ? { address: message.sourceAddress === "" ? undefined : message.sourceAddress } : undefined,
    labels: message.labelsRecorded ? parseLabels("labels", labels) : undefined,
    sourceLabels: message.sourceLabelsRecorded ? parseLabels("source_labels", sourceLabels) : undefined,
    claims: boundedList("claims", claims, itemsMax).map((claim) => ({
      name: claim.name,
      content: parseContent(claim.state, () => parseValue(claim.value)),
    })),
    issuer: issuerRecorded ? { name: message.tokenIssuer === "" ? undefined : message.tokenIssuer } : undefined,
    claimsComplete,
  };
}

function parseLabels(field: string, labels: readonly Label[]): readonly Label[] {
  return boundedList(field, labels, itemsMax).map(({ key, value }) => ({ key, value }));
}

function parseContent<Content>(found: state, value: () => Content): Recorded<Content> {
  switch (found) {
    case state.RECORDED_STATE_WHOLE:
      return { state: "whole", value: value() };
    case state.RECORDED_STATE_MISSING:
      return { state: "missing" };
    case state.RECORDED_STATE_DIGEST:
      return { state: "digest" };
    case state.RECORDED_STATE_WITHHELD:
      return { state: "withheld" };
    default:
      throw new AshlarError("invalid_record", `what is recorded of an input is ${found}`);
  }
}

/** Field 6 of a batch, length-delimited, and how long it is. */
function lengthPrefix(length: number): Uint8Array {
  const bytes = [(6 << 3) | 2];
  let left = length;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  bytes.push(left);
  return Uint8Array.from(bytes);
}

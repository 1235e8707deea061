/**
 * Messages of proxies about themselves. Readers first verify the signed statement beside a message (statement.ts),
 * which names the writer, and then refuse a message that names another proxy.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type CallCounts as CallCountsMessage,
  Endpoint as EndpointMessage,
  Heartbeat as HeartbeatMessage,
} from "../../proto/gen/ashlar/v1/fleet.js";
import { type Digest, digestFromBytes, digestToBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import {
  type CallCounts,
  type Endpoint,
  type Heartbeat,
  type Label,
  methodsToldMax,
  methodToldMax,
  otherCaller,
  type Rejection,
  tookBoundsMs,
  unhealthyBytesMax,
  type WorkerReport,
} from "../model.js";
import { isMethod } from "../snapshot/grammar.js";
import {
  ascending,
  boundedList,
  boundedText,
  clipBytes,
  hostAndPort,
  integer,
  isProxyId,
  label,
  messageBytesMax,
  token,
  workload,
} from "./bounds.js";
import { encodeReach, parseReach } from "./reach.js";
import { encodeShadowCounts, parseShadowCounts } from "./shadows.js";
import { decodeStrict, reading } from "./strict.js";

/** The proxy that wrote a message, from the certificate of its statement. */
export interface FleetWriter {
  readonly service: string;
  readonly proxyId: string;
}

const fleetBytesMax = 64 * 1024;
const preparedCountMax = 16;
const labelsCountMax = 64;
const bypassableCountMax = 64;

const toBuffer = (digest: Digest | undefined): Buffer => Buffer.from(digest === undefined ? [] : digestToBytes(digest));
const optionalDigest = (bytes: Uint8Array): Digest | undefined =>
  bytes.length === 0 ? undefined : digestFromBytes(bytes);

/** Fails with `invalid_record` if the message names another writer. */
export function checkWriter(message: FleetWriter, writer: FleetWriter): void {
  workload("service", message.service);
  if (!isProxyId(message.proxyId)) throw new AshlarError("invalid_record", "proxy_id is not a proxy's id");
  if (message.service !== writer.service || message.proxyId !== writer.proxyId) {
    throw new AshlarError("invalid_record", "service or proxy_id is not that of the proxy that said it");
  }
}

/** Returns the bytes of an endpoint message. `unhealthy` is cut to what a reader takes: an application may have said it. */
export function encodeEndpoint(endpoint: Endpoint): Uint8Array {
  const { labels, unhealthy = "", reportsApplied = false } = endpoint;
  return EndpointMessage.encode({
    ...endpoint,
    unhealthy: clipBytes(unhealthy, unhealthyBytesMax),
    reportsApplied,
    labels: labels.map((item) => ({ ...item })),
  }).finish();
}

/** Parses an endpoint that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseEndpoint(bytes: Uint8Array, writer: FleetWriter): Endpoint {
  const message = decodeStrict(EndpointMessage, bytes, "endpoint", fleetBytesMax);
  return reading("endpoint", () => {
    checkWriter(message, writer);
    return {
      proxyId: message.proxyId,
      service: message.service,
      instance: token("instance", message.instance, 253),
      version: boundedText("version", message.version, 63),
      address: message.gone && message.address === "" ? "" : hostAndPort("address", message.address),
      labels: parseLabels(message.labels),
      gone: message.gone,
      timeMs: integer("time_ms", message.timeMs, 0),
      ...(message.unhealthy === ""
        ? {}
        : { unhealthy: boundedText("unhealthy", message.unhealthy, unhealthyBytesMax) }),
      ...(message.reportsApplied && { reportsApplied: true }),
    };
  });
}

/** Returns a measured duration as a whole number for the wire; it may be a fraction, or Infinity for "never". */
function wholeMs(ms: number): number {
  return Math.round(Math.min(Math.max(ms, 0), Number.MAX_SAFE_INTEGER));
}

/** Returns the bytes of a heartbeat. Durations are rounded, and Infinity becomes the largest safe integer. */
export function encodeHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return HeartbeatMessage.encode({
    ...heartbeat,
    evaluatingDigest: toBuffer(heartbeat.evaluatingDigest),
    prepared: heartbeat.prepared.map((item) => ({ number: item.number, digest: toBuffer(item.digest) })),
    rejected: heartbeat.rejected && { ...heartbeat.rejected, digest: toBuffer(heartbeat.rejected.digest) },
    bypassable: [...heartbeat.bypassable],
    seenActivation: toBuffer(heartbeat.seenActivation),
    freshnessAgeMs: wholeMs(heartbeat.freshnessAgeMs),
    lagMs: wholeMs(heartbeat.lagMs),
    calls: heartbeat.calls && encodeCounts(heartbeat.calls),
    callsBefore: heartbeat.callsBefore && encodeCounts(heartbeat.callsBefore),
    labels: heartbeat.labels.map((item) => ({ ...item })),
    shadow: heartbeat.shadow && encodeShadowCounts(heartbeat.shadow),
    reach: heartbeat.reach && encodeReach(heartbeat.reach),
    workers: heartbeat.workers && { ...heartbeat.workers },
  }).finish();
}

function encodeCounts({ took, methods, ...counts }: CallCounts): CallCountsMessage {
  return {
    ...counts,
    took: [...took],
    byMethod: methods !== undefined,
    methods: (methods ?? []).map((one) => ({ ...one, caller: one.caller ?? "", took: [...one.took] })),
  };
}

function parseCounts(field: string, message: CallCountsMessage): CallCounts {
  const counts = parseCount(field, message);
  if (!message.byMethod) {
    if (message.methods.length > 0) throw new AshlarError("invalid_record", `${field}.methods without by_method`);
    return counts;
  }
  const methods = boundedList(`${field}.methods`, message.methods, methodsToldMax).map((one) => ({
    outbound: one.outbound,
    service: label(`${field}.methods.service`, one.service),
    method: methodName(`${field}.methods.method`, one.method),
    ...(one.caller !== "" && { caller: callerName(`${field}.methods.caller`, one.caller) }),
    ...parseCount(`${field}.methods`, one),
  }));
  return { ...counts, methods };
}

function callerName(field: string, text: string): string {
  return text === otherCaller ? text : label(field, text);
}

function methodName(field: string, text: string): string {
  if (text.length > methodToldMax || !isMethod(text))
    throw new AshlarError("invalid_record", `${field} is not a method`);
  return text;
}

function parseCount(field: string, message: Pick<CallCountsMessage, "calls" | "refused" | "failed" | "took">) {
  const classes = tookBoundsMs.length + 1;
  if (message.took.length !== 0 && message.took.length !== classes)
    throw new AshlarError("invalid_record", `${field}.took has ${message.took.length} classes, not ${classes}`);
  const calls = integer(`${field}.calls`, message.calls, 0);
  return {
    calls,
    refused: integer(`${field}.refused`, message.refused, 0, calls),
    failed: integer(`${field}.failed`, message.failed, 0, calls),
    took: message.took.map((count) => integer(`${field}.took`, count, 0, calls)),
  };
}

function parseLabels(labels: readonly { key: string; value: string }[]): readonly Label[] {
  return ascending("labels", boundedList("labels", labels, labelsCountMax), (item) => item.key).map((item) => ({
    key: token("labels.key", item.key, 63),
    value: boundedText("labels.value", item.value, 253),
  }));
}

function parseWorkers(message: WorkerReport): WorkerReport {
  const wanted = integer("workers.wanted", message.wanted, 1);
  return { wanted, serving: integer("workers.serving", message.serving, 0, wanted) };
}

function parseRejection(message: { number: number; digest: Uint8Array; reason: string }): Rejection {
  return {
    number: integer("rejected.number", message.number, 0),
    digest: digestFromBytes(message.digest),
    reason: boundedText("rejected.reason", message.reason, messageBytesMax),
  };
}

/** Parses a heartbeat that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseHeartbeat(bytes: Uint8Array, writer: FleetWriter): Heartbeat {
  const message = decodeStrict(HeartbeatMessage, bytes, "heartbeat", fleetBytesMax);
  return reading("heartbeat", () => {
    checkWriter(message, writer);
    return {
      proxyId: message.proxyId,
      service: message.service,
      version: boundedText("version", message.version, 63),
      timeMs: integer("time_ms", message.timeMs, 0),
      seenEpoch: integer("seen_epoch", message.seenEpoch, 0),
      evaluatingEpoch: integer("evaluating_epoch", message.evaluatingEpoch, 0),
      evaluatingRevision: integer("evaluating_revision", message.evaluatingRevision, 0),
      evaluatingDigest: optionalDigest(message.evaluatingDigest),
      prepared: boundedList("prepared", message.prepared, preparedCountMax).map((item) => ({
        number: integer("prepared.number", item.number, 1),
        digest: digestFromBytes(item.digest),
      })),
      rejected: message.rejected && parseRejection(message.rejected),
      certificateExpiresMs: integer("certificate_expires_ms", message.certificateExpiresMs, 0),
      freshnessAgeMs: integer("freshness_age_ms", message.freshnessAgeMs, 0),
      lagMs: integer("lag_ms", message.lagMs, 0),
      trustSequence: integer("trust_sequence", message.trustSequence, 0),
      serving: message.serving,
      bypassable: boundedList("bypassable", message.bypassable, bypassableCountMax).map((item) =>
        boundedText("bypassable", item, 256),
      ),
      seenActivation: optionalDigest(message.seenActivation),
      leaving: message.leaving,
      calls: message.calls && parseCounts("calls", message.calls),
      callsBefore: message.callsBefore && parseCounts("calls_before", message.callsBefore),
      labels: parseLabels(message.labels),
      ...(message.shadow && { shadow: parseShadowCounts(message.shadow) }),
      ...(message.reach && { reach: parseReach(message.reach) }),
      ...(message.workers && { workers: parseWorkers(message.workers) }),
    };
  });
}

const leavingField = 18;
const varint = 0;

/**
 * Returns whether the writer of a heartbeat is leaving, without parsing the rest: every proxy of a service gets the
 * heartbeats of all others, and needs only this. The NATS subject says who the writer is. Fails with `invalid_record`
 * or `limit`.
 */
export function readLeaving(bytes: Uint8Array): boolean {
  if (bytes.length > fleetBytesMax)
    throw new AshlarError("limit", `heartbeat: ${bytes.length} bytes, at most ${fleetBytesMax} are read`);
  return reading("heartbeat", () => {
    const reader = new BinaryReader(bytes);
    let leaving = false;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === leavingField && type === varint) leaving = reader.bool();
      else reader.skip(type);
    }
    return leaving;
  });
}

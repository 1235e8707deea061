/** The streams of a mesh: created once with the bootstrap credential, and checked at each start. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import {
  auditStream,
  auditSubject,
  blobStream,
  decisionMessageBytesMax,
  decisionStream,
  endpointReadSubject,
  endpointStream,
  endpointSubject,
  logNames,
  streamOf,
} from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";

/**
 * The bytes that bounded streams keep where the disk has room for them; `--decisions-bytes` changes those of decisions.
 */
export const boundsDefault: StreamBounds = {
  decisions: 512 * 1024 * 1024,
  endpoints: 256 * 1024 * 1024,
  audit: 256 * 1024 * 1024,
};
export const decisionAgeMsDefault = 24 * 3_600_000;

/** The most bytes of each bounded stream. */
export interface StreamBounds {
  readonly decisions: number;
  readonly endpoints: number;
  readonly audit: number;
}

/** The stream of each bound. */
export const boundedStreams: Readonly<Record<keyof StreamBounds, string>> = {
  decisions: decisionStream,
  endpoints: endpointStream,
  audit: auditStream,
};

/** What the streams keep; it applies when they are created. */
export interface StreamOptions {
  readonly replicas: number;
  readonly bounds?: StreamBounds | undefined;
  readonly decisionAgeMs?: number | undefined;
}

const base = {
  discard: "new",
  discardNewPerSubject: false,
  maxMessagesPerSubject: undefined,
  maxBytes: undefined,
  maxMessageBytes: undefined,
  maxAgeMs: undefined,
  denyDelete: true,
  denyPurge: true,
  allowDirect: true,
  republish: undefined,
} as const;

/** The largest share of the stream of decisions that one proxy may take. */
const decisionShare = 1 / 4;
/** The least number of batches for one proxy, however small the stream is. */
const decisionBatchesMin = 64;

/**
 * Returns the bounds of the stream of decisions. JetStream bounds the messages of a subject and not their bytes, so the
 * size of a message is bounded too.
 */
function decisionBounds(maxBytes: number) {
  const maxMessagesPerSubject = Math.floor((maxBytes * decisionShare) / decisionMessageBytesMax);
  return {
    maxBytes,
    maxMessageBytes: decisionMessageBytesMax,
    maxMessagesPerSubject: Math.max(decisionBatchesMin, maxMessagesPerSubject),
  };
}

/** Returns the required configurations. Logs have no limits, because a limit would lose history. */
export function streamSpecs({ replicas, bounds = boundsDefault, decisionAgeMs }: StreamOptions): readonly StreamSpec[] {
  const logs = logNames.map((log) => ({
    ...base,
    name: streamOf[log],
    subjects: [`ashlar.log.${log}.*`],
    republish: { from: `ashlar.log.${log}.*`, to: `ashlar.read.${log}.{{wildcard(1)}}` },
    replicas,
  }));
  const blobs = {
    ...base,
    name: blobStream,
    subjects: ["ashlar.blob.*.*"],
    maxMessagesPerSubject: 1,
    discardNewPerSubject: true, // written once
    replicas,
  };
  const endpoints = {
    ...base,
    name: endpointStream,
    subjects: [endpointSubject("*", "*")],
    republish: { from: endpointSubject("*", "*"), to: endpointReadSubject("{{wildcard(1)}}", "{{wildcard(2)}}") },
    discard: "old" as const,
    maxMessagesPerSubject: 1,
    maxBytes: bounds.endpoints,
    replicas,
  };
  const audit = { ...base, name: auditStream, subjects: [auditSubject], maxBytes: bounds.audit, replicas };
  const decisions = {
    ...base,
    name: decisionStream,
    subjects: ["ashlar.decision.*.*"],
    discard: "old" as const,
    ...decisionBounds(bounds.decisions),
    maxAgeMs: decisionAgeMs ?? decisionAgeMsDefault,
    replicas,
  };
  return [...logs, blobs, endpoints, audit, decisions];
}

/** Returns how `actual` differs from `wanted`, for people. The operator decides the number of replicas. */
function differences(wanted: StreamSpec, actual: StreamSpec): string[] {
  const fields = Object.keys(base) as (keyof typeof base)[];
  return [...fields, "subjects" as const]
    .filter((field) => JSON.stringify(wanted[field]) !== JSON.stringify(actual[field]))
    .filter((field) => !isSameKindOfBound(wanted, actual, field))
    .map((field) => `${field} is ${JSON.stringify(actual[field])}, not ${JSON.stringify(wanted[field])}`);
}

/**
 * Returns whether a field is a bound of another size, which is accepted. A stream that keeps the last message of a
 * subject must have that bound.
 */
function isSameKindOfBound(wanted: StreamSpec, actual: StreamSpec, field: keyof StreamSpec): boolean {
  if (field === "maxBytes" || field === "maxAgeMs") return wanted[field] !== undefined;
  if (field !== "maxMessagesPerSubject" && field !== "maxMessageBytes") return false;
  return wanted.name === decisionStream && wanted[field] !== undefined && actual[field] !== undefined;
}

/**
 * Creates the missing streams, and gives those of earlier versions what they lack. Needs the bootstrap credential.
 * Repeating it is harmless, also from several control planes at once. Fails with `unavailable` if NATS does not answer,
 * and with `invalid_argument` if a stream exists with a configuration that could lose or rewrite its messages.
 */
export async function bootstrapStreams(bus: Bus, options: StreamOptions): Promise<void> {
  for (const spec of streamSpecs(options)) {
    const found = await bus.streamInfo(spec.name);
    if (found === undefined) await create(bus, spec);
    else await bringUpToDate(bus, spec, found);
    const info = await bus.streamInfo(spec.name);
    if (info === undefined) throw new AshlarError("unavailable", `stream ${spec.name} was created and is not there`);
    const faults = [...info.dangers, ...differences(spec, info.spec)];
    if (faults.length > 0) {
      throw new AshlarError(
        "invalid_argument",
        `stream ${spec.name} has a configuration that Ashlar must not use: ${faults.join("; ")}`,
      );
    }
  }
}

async function create(bus: Bus, spec: StreamSpec): Promise<void> {
  await bus.createStream(spec).catch((error: unknown) => {
    if (!isAshlarError(error, "exists")) throw error; // somebody else has just created it; it is checked afterwards
  });
}

async function bringUpToDate(bus: Bus, spec: StreamSpec, info: StreamInfo): Promise<void> {
  if (spec.name === endpointStream) await republishEndpoints(bus, spec, info);
  if (spec.name === decisionStream) await boundDecisions(bus, spec, info);
}

/** Bounds a stream of decisions that an earlier version made, in which one proxy could push out those of all others. */
async function boundDecisions(bus: Bus, spec: StreamSpec, { spec: found, dangers }: StreamInfo): Promise<void> {
  const isBounded = found.maxMessagesPerSubject !== undefined && found.maxMessageBytes !== undefined;
  if (isBounded || dangers.length > 0 || found.maxBytes === undefined) return;
  const { replicas, maxAgeMs } = found;
  const wanted = { ...spec, ...decisionBounds(found.maxBytes), replicas, maxAgeMs };
  const unbounded = { maxMessagesPerSubject: undefined, maxMessageBytes: undefined };
  if (differences(wanted, { ...wanted, ...found, ...unbounded }).length === 2) await bus.updateStream(wanted);
}

/**
 * Creates a stream of endpoints again that an earlier version made without republishing, which servers before 2.10
 * cannot change.
 */
async function republishEndpoints(bus: Bus, spec: StreamSpec, { spec: found, dangers }: StreamInfo): Promise<void> {
  if (spec.name !== endpointStream || dangers.length > 0 || found.republish !== undefined) return;
  if (differences({ ...spec, republish: undefined }, found).length > 0) return;
  const { replicas, maxBytes, maxAgeMs } = found;
  const wanted = { ...spec, replicas, maxBytes, maxAgeMs };
  try {
    await bus.updateStream(wanted);
  } catch (error) {
    if (isAshlarError(error, "unavailable") && !bus.connected) throw error;
    await bus.deleteStream(spec.name);
    await create(bus, wanted);
  }
}

/** Sets these bounds on the bounded streams that have others. Needs the bootstrap credential. */
export async function fitStreams(bus: Bus, bounds: StreamBounds): Promise<void> {
  for (const [name, maxBytes] of Object.entries(bounds) as [keyof StreamBounds, number][]) {
    const found = (await bus.streamInfo(boundedStreams[name]))?.spec;
    if (found === undefined || found.maxBytes === maxBytes) continue;
    await bus.updateStream({ ...found, ...(name === "decisions" ? decisionBounds(maxBytes) : { maxBytes }) });
  }
}

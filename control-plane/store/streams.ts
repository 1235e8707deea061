/** The streams of a mesh: created once by the bootstrap credential, and checked at each start. */
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

/** How much the bounded streams keep where the disk has room for it; `--decisions-bytes` says otherwise for decisions. */
export const boundsDefault: StreamBounds = {
  decisions: 512 * 1024 * 1024,
  endpoints: 256 * 1024 * 1024,
  audit: 256 * 1024 * 1024,
};
export const decisionAgeMsDefault = 24 * 3_600_000;

/** Bytes that each of the bounded streams keeps at most. */
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

/** How much the streams keep; it counts where they are created. */
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

/** One proxy holds at most this share of the decisions that are kept. */
const decisionShare = 1 / 4;
/** However small the stream is. */
const decisionBatchesMin = 64;

/** JetStream bounds messages of a subject, not their bytes: so a message is bounded too. */
function decisionBounds(maxBytes: number) {
  const maxMessagesPerSubject = Math.floor((maxBytes * decisionShare) / decisionMessageBytesMax);
  return {
    maxBytes,
    maxMessageBytes: decisionMessageBytesMax,
    maxMessagesPerSubject: Math.max(decisionBatchesMin, maxMessagesPerSubject),
  };
}

/** What the streams must be. Logs have no limits: a limit is a way to lose history. */
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
    discardNewPerSubject: true, // write-once
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

/** How `actual` differs from `wanted`, for people; the number of replicas is the operator's affair. */
function differences(wanted: StreamSpec, actual: StreamSpec): string[] {
  const fields = Object.keys(base) as (keyof typeof base)[];
  return [...fields, "subjects" as const]
    .filter((field) => JSON.stringify(wanted[field]) !== JSON.stringify(actual[field]))
    .filter((field) => !isSameKindOfBound(wanted, actual, field))
    .map((field) => `${field} is ${JSON.stringify(actual[field])}, not ${JSON.stringify(wanted[field])}`);
}

/** A bound of another size is a bound; of a stream that keeps the last message of a subject it has to be one. */
function isSameKindOfBound(wanted: StreamSpec, actual: StreamSpec, field: keyof StreamSpec): boolean {
  if (field === "maxBytes" || field === "maxAgeMs") return wanted[field] !== undefined;
  if (field !== "maxMessagesPerSubject" && field !== "maxMessageBytes") return false;
  return wanted.name === decisionStream && wanted[field] !== undefined && actual[field] !== undefined;
}

/**
 * Creates the streams that are missing, and gives those of earlier versions what they lack. Needs the bootstrap
 * credential; doing it again is harmless, also at the same time from several control planes. Fails with `unavailable`
 * when NATS does not answer, and with `invalid_argument` if a stream is there with a configuration that could lose or
 * rewrite what is in it.
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
    if (!isAshlarError(error, "exists")) throw error; // somebody else has just made it: it is checked afterwards
  });
}

async function bringUpToDate(bus: Bus, spec: StreamSpec, info: StreamInfo): Promise<void> {
  if (spec.name === endpointStream) await republishEndpoints(bus, spec, info);
  if (spec.name === decisionStream) await boundDecisions(bus, spec, info);
}

/** A stream of decisions that an earlier version made lets one proxy push out those of all others. */
async function boundDecisions(bus: Bus, spec: StreamSpec, { spec: found, dangers }: StreamInfo): Promise<void> {
  const isBounded = found.maxMessagesPerSubject !== undefined && found.maxMessageBytes !== undefined;
  if (isBounded || dangers.length > 0 || found.maxBytes === undefined) return;
  const { replicas, maxAgeMs } = found;
  const wanted = { ...spec, ...decisionBounds(found.maxBytes), replicas, maxAgeMs };
  const unbounded = { maxMessagesPerSubject: undefined, maxMessageBytes: undefined };
  if (differences(wanted, { ...wanted, ...found, ...unbounded }).length === 2) await bus.updateStream(wanted);
}

/** A stream of endpoints that an earlier version made does not republish; servers before 2.10 cannot change that. */
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

/** Gives the bounded streams these bounds where they have others. Needs the bootstrap credential. */
export async function fitStreams(bus: Bus, bounds: StreamBounds): Promise<void> {
  for (const [name, maxBytes] of Object.entries(bounds) as [keyof StreamBounds, number][]) {
    const found = (await bus.streamInfo(boundedStreams[name]))?.spec;
    if (found === undefined || found.maxBytes === maxBytes) continue;
    await bus.updateStream({ ...found, ...(name === "decisions" ? decisionBounds(maxBytes) : { maxBytes }) });
  }
}

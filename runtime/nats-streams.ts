/** Converts stream configurations to JetStream's JSON and back. */
import { AshlarError } from "../core/errors.js";
import type { Bus, StreamInfo, StreamSpec } from "./bus.js";

/**
 * Returns the JSON of a stream with Ashlar's settings: file storage and limits; messages expire only if the stream has
 * a maximum age.
 */
export function renderStreamConfig(spec: StreamSpec, firstSequence = 1): Record<string, unknown> {
  return {
    name: spec.name,
    subjects: [...spec.subjects],
    retention: "limits",
    storage: "file",
    num_replicas: spec.replicas,
    max_consumers: -1,
    max_msgs: spec.maxMessages ?? -1,
    max_age: (spec.maxAgeMs ?? 0) * nanosecondsPerMs,
    max_msg_size: spec.maxMessageBytes ?? -1,
    max_msgs_per_subject: spec.maxMessagesPerSubject ?? -1,
    max_bytes: spec.maxBytes ?? -1,
    discard: spec.discard,
    discard_new_per_subject: spec.discardNewPerSubject,
    deny_delete: spec.denyDelete,
    deny_purge: spec.denyPurge,
    allow_direct: spec.allowDirect,
    duplicate_window: (spec.duplicateWindowMs ?? duplicateWindowMsDefault) * nanosecondsPerMs, // stated, so that the server's is no difference
    ...(spec.noAck === true && { no_ack: true }),
    ...(spec.republish === undefined ? {} : { republish: renderRepublish(spec.republish) }),
    ...(firstSequence > 1 && { first_seq: firstSequence }), // servers before 2.10 do not read it
  };
}

const skippedAtOnce = 1024;
const skippedMax = 5_000_000;

/**
 * Makes the next message of a new stream get this sequence. If the server ignored that when it created the stream,
 * appends empty messages and removes them again: purging an empty stream to a sequence is not enough, because servers
 * of 2.9 then refuse appends that expect it. Fails with `limit`.
 */
async function skipTo(
  firstSequence: number,
  { name, subjects }: StreamSpec,
  bus: Pick<Bus, "append" | "streamInfo">,
  dropBefore: (sequence: number) => Promise<unknown>,
): Promise<void> {
  let through = (await bus.streamInfo(name))?.lastSequence ?? 0;
  if (firstSequence - through > skippedMax)
    throw new AshlarError(
      "limit",
      `this nats-server cannot begin a stream at sequence ${firstSequence}: use 2.10 or newer`,
    );
  const subject = (subjects[0] ?? "").replace(/[>*]$/, "skipped");
  while (through < firstSequence - 1) {
    const count = Math.min(skippedAtOnce, firstSequence - 1 - through);
    await Promise.all(Array.from({ length: count }, () => bus.append(subject, new Uint8Array())));
    through += count;
    await dropBefore(through + 1);
  }
}

const renderRepublish = ({ from, to, headersOnly }: NonNullable<StreamSpec["republish"]>): object => ({
  src: from,
  dest: to,
  ...(headersOnly === true && { headers_only: true }),
});

const duplicateWindowMsDefault = 120_000;

const nanosecondsPerMs = 1_000_000;
type Json = Readonly<Record<string, unknown>>;

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const limit = (value: unknown): number | undefined => (typeof value === "number" && value > 0 ? value : undefined);
const count = (value: unknown): number => (typeof value === "number" ? value : 0);

type AskApi = (what: string, subject: string, request: object) => Promise<unknown>;

/** Creates a stream whose first message gets this sequence. Fails as `Bus.createStream`. */
export async function makeStream(
  spec: StreamSpec,
  firstSequence: number,
  bus: Pick<Bus, "append" | "streamInfo">,
  api: AskApi,
): Promise<void> {
  const ask = (verb: string, request: object) =>
    api(`create stream ${spec.name}`, `$JS.API.STREAM.${verb}.${spec.name}`, request);
  await ask("CREATE", renderStreamConfig(spec, firstSequence));
  if (firstSequence > 1) await skipTo(firstSequence, spec, bus, (seq) => ask("PURGE", { seq }));
}

/** Parses the answer to STREAM.INFO. Fails with `unavailable` if it is malformed. */
export function parseStreamInfo(answer: Json): StreamInfo {
  const config = object(answer.config);
  const state = object(answer.state);
  if (typeof config.name !== "string") throw new AshlarError("unavailable", "an answer without a stream");
  return {
    spec: {
      name: config.name,
      subjects: Array.isArray(config.subjects) ? config.subjects.map(String) : [],
      replicas: count(config.num_replicas) || 1,
      discard: config.discard === "new" ? "new" : "old",
      discardNewPerSubject: config.discard_new_per_subject === true,
      maxMessagesPerSubject: limit(config.max_msgs_per_subject),
      maxBytes: limit(config.max_bytes),
      maxMessageBytes: limit(config.max_msg_size),
      ...maxAgeOf(config),
      denyDelete: config.deny_delete === true,
      denyPurge: config.deny_purge === true,
      allowDirect: config.allow_direct === true,
      republish: republishOf(object(config.republish)),
      ...duplicateWindowOf(config),
      ...(config.no_ack === true && { noAck: true }),
    },
    dangers: dangersOf(config),
    created: String(answer.created ?? ""),
    firstSequence: Math.max(1, count(state.first_seq)), // 0 before the first message, which servers refuse to be asked for
    lastSequence: count(state.last_seq),
    messages: count(state.messages),
    lagging: laggingOf(object(answer.cluster)),
    bytes: count(state.bytes),
  };
}

function laggingOf({ replicas }: Json): number {
  if (!Array.isArray(replicas)) return 0;
  return replicas.map(object).filter((one) => one.current !== true || one.offline === true || count(one.lag) > 0)
    .length;
}

function republishOf({ src, dest, headers_only }: Json): StreamSpec["republish"] {
  if (typeof dest !== "string") return undefined;
  return { from: String(src), to: dest, ...(headers_only === true && { headersOnly: true }) };
}

function duplicateWindowOf({ duplicate_window }: Json): Pick<StreamSpec, "duplicateWindowMs"> {
  const windowMs = Math.round(count(duplicate_window) / nanosecondsPerMs);
  return windowMs === duplicateWindowMsDefault ? {} : { duplicateWindowMs: windowMs };
}

function maxAgeOf(config: Json): Pick<StreamSpec, "maxAgeMs"> {
  const nanoseconds = limit(config.max_age);
  return nanoseconds === undefined ? {} : { maxAgeMs: Math.round(nanoseconds / nanosecondsPerMs) };
}

function dangersOf(config: Json): string[] {
  const dangers: string[] = [];
  if (limit(config.max_msgs) !== undefined) dangers.push(`max_msgs ${config.max_msgs}`);
  if (config.retention !== "limits") dangers.push(`retention ${config.retention}`);
  if (config.storage !== "file") dangers.push(`storage ${config.storage}`);
  if (config.mirror !== undefined || config.sources !== undefined) dangers.push("it is fed by another stream");
  for (const name of ["sealed", "no_ack", "allow_rollup_hdrs", "allow_msg_ttl", "subject_transform"]) {
    if (config[name] !== undefined && config[name] !== false) dangers.push(name);
  }
  return dangers;
}

/** Returns the names in all pages of the answer to STREAM.NAMES; `ask` returns the page that begins at `offset`. */
export async function listStreamNames(ask: (offset: number) => Promise<Json>): Promise<readonly string[]> {
  const names: string[] = [];
  for (;;) {
    const answer = await ask(names.length);
    const page = Array.isArray(answer.streams) ? answer.streams.map(String) : [];
    names.push(...page);
    if (page.length === 0 || names.length >= count(answer.total)) return names;
  }
}

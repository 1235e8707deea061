/**
 * Who may say what on NATS, in one place. A stream's configuration alone keeps nothing immutable: what
 * counts is that no daily credential may change or delete a stream (I9). Nobody has a `$JS.>` wildcard, and
 * nobody may create consumers: a consumer's delivery subject would be a way to write anywhere.
 */
import {
  auditStream,
  auditSubject,
  blobStream,
  decisionStream,
  decisionSubject,
  endpointStream,
  endpointSubject,
  freshnessSubject,
  heartbeatSubject,
  journaledPrefix,
  journalKeySubject,
  journalKeysStream,
  journalPrefix,
  journalSealSubject,
  journalStream,
  journalSubject,
  limitsSubject,
  lookOrderSubject,
  lookSubject,
  prepareOrderSubject,
  proxyInbox,
  readPrefix,
  streamOf,
} from "../core/wire/subjects.js";

/** Subjects a NATS user may publish to and subscribe to; nothing else. Neither list is ever empty: to NATS that means everything. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What a user may use at most. No server (2.9.10 and 2.15.3 were tried) enforces a user's limits on connections or data. */
export interface NatsUserLimits {
  /** The server refuses more, with an error; the connection goes on. */
  readonly subscriptions: number;
  /** Bytes of one message, its headers included. */
  readonly payloadBytes: number;
}

/**
 * The limits of a proxy's user: two subscriptions for each of the 1000 services that it may follow, those of the logs, and room for more;
 * messages as long as the longest that anybody reads, a batch of decisions with 512 KiB, and its headers.
 */
export const proxyLimits: NatsUserLimits = { subscriptions: 2 * 1000 + 100, payloadBytes: (512 + 16) * 1024 };

const logStreams = Object.values(streamOf);
/** The streams that proxies read. */
export const readStreams: readonly string[] = [...logStreams, blobStream, endpointStream];
/** Every stream of a mesh. Proxies do not read decisions: what others were asked is not theirs to know. */
export const allStreams: readonly string[] = [...readStreams, auditStream, decisionStream];

/** Where a message of a stream is asked for; any replica answers. */
export const directGetSubject = (stream: string): string => `$JS.API.DIRECT.GET.${stream}`;

/**
 * Creates, checks and updates the streams, at start only. The stream of endpoints may be made anew: servers before 2.10
 * cannot give one that is there its republishing, and each proxy states its endpoint again.
 */
export function bootstrapPermissions(inboxPrefix: string): NatsPermissions {
  return {
    publish: [
      ...allStreams.flatMap((name) => [`$JS.API.STREAM.CREATE.${name}`, `$JS.API.STREAM.UPDATE.${name}`]),
      `$JS.API.STREAM.DELETE.${endpointStream}`,
      "$JS.API.STREAM.NAMES", // what journals may take of the disk, others may not
      "$JS.API.STREAM.INFO.*",
    ],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** Creates, checks and changes the journals of these services and the streams of their data keys, and nothing else. */
export function journalPermissions(services: readonly string[], inboxPrefix: string): NatsPermissions {
  const verbs = ["CREATE", "UPDATE", "INFO"] as const;
  return {
    publish: services
      .flatMap((service) => [journalStream(service), journalKeysStream(service)])
      .flatMap((stream) => verbs.map((verb) => `$JS.API.STREAM.${verb}.${stream}`)),
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** Lets go of the beginning of this service's journal. */
export function letGoPermissions(service: string, inboxPrefix: string): NatsPermissions {
  const { publish, subscribe } = journalPermissions([service], inboxPrefix);
  return { publish: [...publish, journalSubject(service, "letgo", "*")], subscribe };
}

/** Imports a journal of this service: makes its stream, appends what was exported, and removes the stream while that is no journal. */
export function importPermissions(service: string, inboxPrefix: string): NatsPermissions {
  const stream = journalStream(service);
  const verbs = ["CREATE", "UPDATE", "INFO", "PURGE", "DELETE"] as const;
  return {
    publish: [...verbs.map((verb) => `$JS.API.STREAM.${verb}.${stream}`), `${journalPrefix(service)}.>`],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** Erases data keys of this service's private fields. */
export function shredPermissions(service: string, inboxPrefix: string): NatsPermissions {
  return {
    publish: [`$JS.API.STREAM.MSG.DELETE.${journalKeysStream(service)}`],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** A control plane's daily work: append and read; no stream is created, changed, purged or deleted, no message deleted. */
export function controlPlanePermissions(inboxPrefix: string): NatsPermissions {
  return {
    publish: [
      "ashlar.log.*.*",
      "ashlar.blob.*.*",
      auditSubject,
      freshnessSubject,
      lookOrderSubject,
      prepareOrderSubject,
      journalSubject("*", "resolution", "*"),
      journalSealSubject("*"),
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.INFO.*", // of every stream: those of journals are not known beforehand
      "$JS.API.STREAM.MSG.GET.*",
      directGetSubject("*"),
    ],
    subscribe: [`${readPrefix}.>`, heartbeatSubject("*", "*"), lookSubject("*", "*", "*"), `${inboxPrefix}.>`],
  };
}

/**
 * A proxy: reads what was committed, writes its own endpoint, heartbeat, decisions and limit reports, and reads and appends
 * to its own service's journal. Its inbox prefix is `proxyInbox(proxyId)`.
 */
export function proxyPermissions(service: string, proxyId: string): NatsPermissions {
  return {
    publish: [
      endpointSubject(service, proxyId),
      heartbeatSubject(service, proxyId),
      decisionSubject(service, proxyId),
      limitsSubject(service, proxyId),
      lookSubject(service, proxyId, "*"),
      journalSubject(service, "entry", "*"),
      journalSubject(service, "outcome", "*"),
      journalKeySubject(service, "*", "*"),
      ...[...readStreams, journalStream(service), journalKeysStream(service)].map(directGetSubject),
    ],
    subscribe: [
      `${readPrefix}.>`,
      heartbeatSubject("*", "*"),
      limitsSubject(service, "*"),
      `${journaledPrefix(service)}.>`,
      `${proxyInbox(proxyId)}.>`,
    ],
  };
}

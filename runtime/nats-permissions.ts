/**
 * All permissions on NATS, in one place. The configuration of a stream does not make it immutable: what counts is that
 * no everyday credential may change or delete a stream (I9). Nobody has the wildcard `$JS.>`, and nobody may create
 * consumers, because the delivery subject of a consumer would be a way to write to any subject.
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

/**
 * The subjects to which a NATS user may publish and subscribe; all others are forbidden. Neither list is ever empty,
 * because NATS reads an empty list as "everything".
 */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/**
 * The limits of a NATS user. No server (2.9.10 and 2.15.3 were tried) enforces a user's limits on connections or data.
 */
export interface NatsUserLimits {
  /** The most subscriptions. The server answers further ones with an error, and the connection continues. */
  readonly subscriptions: number;
  /** The most bytes of one message with its headers. */
  readonly payloadBytes: number;
}

/**
 * The limits of a proxy's user: two subscriptions for each of the 1000 services that it may follow, those of the logs,
 * and some more; and messages as long as the longest that anybody reads, a batch of decisions of 512 KiB with its
 * headers.
 */
export const proxyLimits: NatsUserLimits = { subscriptions: 2 * 1000 + 100, payloadBytes: (512 + 16) * 1024 };

const logStreams = Object.values(streamOf);
/** The streams that proxies read. */
export const readStreams: readonly string[] = [...logStreams, blobStream, endpointStream];
/**
 * All streams of a mesh except journals. Proxies do not read decisions, because calls of other services are not for
 * them to see.
 */
export const allStreams: readonly string[] = [...readStreams, auditStream, decisionStream];

/** Returns the subject of direct gets of a stream, which any replica answers. */
export const directGetSubject = (stream: string): string => `$JS.API.DIRECT.GET.${stream}`;

/**
 * Lets the control plane create, check and update the streams, at its start only. It may create the stream of endpoints
 * anew: servers before 2.10 cannot add republishing to an existing stream, and every proxy publishes its endpoint
 * again.
 */
export function bootstrapPermissions(inboxPrefix: string): NatsPermissions {
  return {
    publish: [
      ...allStreams.flatMap((name) => [`$JS.API.STREAM.CREATE.${name}`, `$JS.API.STREAM.UPDATE.${name}`]),
      `$JS.API.STREAM.DELETE.${endpointStream}`,
      "$JS.API.STREAM.NAMES", // to tell what journals may take of the disk
      "$JS.API.STREAM.INFO.*",
    ],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/**
 * Lets a control plane create, check and change the journals of these services and the streams of their data keys, and
 * nothing else.
 */
export function journalPermissions(services: readonly string[], inboxPrefix: string): NatsPermissions {
  const verbs = ["CREATE", "UPDATE", "INFO"] as const;
  return {
    publish: services
      .flatMap((service) => [journalStream(service), journalKeysStream(service)])
      .flatMap((stream) => verbs.map((verb) => `$JS.API.STREAM.${verb}.${stream}`)),
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** Lets a control plane remove the beginning of this service's journal. */
export function letGoPermissions(service: string, inboxPrefix: string): NatsPermissions {
  const { publish, subscribe } = journalPermissions([service], inboxPrefix);
  return { publish: [...publish, journalSubject(service, "letgo", "*")], subscribe };
}

/**
 * Lets a control plane import a journal of this service: create its stream, append the exported messages, and remove
 * the stream while the import is incomplete.
 */
export function importPermissions(service: string, inboxPrefix: string): NatsPermissions {
  const stream = journalStream(service);
  const verbs = ["CREATE", "UPDATE", "INFO", "PURGE", "DELETE"] as const;
  return {
    publish: [...verbs.map((verb) => `$JS.API.STREAM.${verb}.${stream}`), `${journalPrefix(service)}.>`],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/** Lets a control plane erase data keys of this service's private fields. */
export function shredPermissions(service: string, inboxPrefix: string): NatsPermissions {
  return {
    publish: [`$JS.API.STREAM.MSG.DELETE.${journalKeysStream(service)}`],
    subscribe: [`${inboxPrefix}.>`],
  };
}

/**
 * The everyday permissions of a control plane: append and read. It may not create, change, purge or delete a stream, or
 * delete a message.
 */
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
      "$JS.API.STREAM.INFO.*", // for every stream, because journals are not known beforehand
      "$JS.API.STREAM.MSG.GET.*",
      directGetSubject("*"),
    ],
    subscribe: [`${readPrefix}.>`, heartbeatSubject("*", "*"), lookSubject("*", "*", "*"), `${inboxPrefix}.>`],
  };
}

/**
 * The permissions of a proxy: it reads committed records, writes its own endpoint, heartbeat, decisions and limit
 * reports, and reads and appends to its own service's journal. Its inbox prefix is `proxyInbox(proxyId)`.
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

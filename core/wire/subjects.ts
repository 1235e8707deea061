/**
 * The names on NATS. The ingest subject of a log contains a number or epoch as a look-up hint only: the signed body
 * says what a record is. Readers never subscribe to an ingest subject, where they would see records that lost the race,
 * but to its republished twin under `ashlar.read.`.
 */
export const logNames = ["revisions", "activations", "trust"] as const;
export type LogName = (typeof logNames)[number];

/** The stream of a log: one stream a log, so compare-and-set holds (per stream, not per subject). */
export const streamOf = {
  revisions: "ASHLAR_REVISIONS",
  activations: "ASHLAR_ACTIVATIONS",
  trust: "ASHLAR_TRUST",
} as const satisfies Record<LogName, string>;

/** The stream with units and snapshot lists by digest, each written once. */
export const blobStream = "ASHLAR_BLOBS";
/** The stream with the latest endpoint message of each proxy. */
export const endpointStream = "ASHLAR_ENDPOINTS";
/** The stream of the audit log. */
export const auditStream = "ASHLAR_AUDIT";
export const auditSubject = "ashlar.audit";

/** The stream with recorded decisions; new ones displace old ones. */
export const decisionStream = "ASHLAR_DECISIONS";
/**
 * The most bytes of a message in it, headers included. Together with a bound on a proxy's messages this bounds its
 * share of the stream.
 */
export const decisionMessageBytesMax = 32 * 1024;
/** Returns the subject of a proxy's decisions; only that proxy may write to it. */
export const decisionSubject = (service: string, proxyId: string): string => `ashlar.decision.${service}.${proxyId}`;

/** Returns the stream of a service's journal: entries, outcomes, resolutions and seals (decision 0042). */
export const journalStream = (service: string): string => `ASHLAR_JOURNAL_${service}`;
const journalRecordKinds = ["entry", "outcome", "resolution", "letgo", "seal"] as const;
export type JournalRecordKind = (typeof journalRecordKinds)[number];
/** Returns the prefix of all subjects in the stream of the service's journal. */
export const journalPrefix = (service: string): string => `ashlar.journal.${service}`;
/**
 * Returns the subject of a journal record. `key`: the `journalKey` of the entry, which its outcome and resolution
 * share; for a "letgo" record the bucket; "*" for all.
 */
export const journalSubject = (service: string, kind: Exclude<JournalRecordKind, "seal">, key: string): string =>
  `${journalPrefix(service)}.${kind}.${key}`;
export const journalSealSubject = (service: string): string => `${journalPrefix(service)}.seal`;
/**
 * Returns the prefix under which a journal's messages are republished, headers only. Only the service's own proxies may
 * read it.
 */
export const journaledPrefix = (service: string): string => `ashlar.journaled.${service}`;

/**
 * Returns the stream with the data keys of a service's private fields. Only its messages may be erased (decision 0064).
 */
export const journalKeysStream = (service: string): string => `ASHLAR_KEYS_${service}`;
/** Returns the subject of a data key. `subject`: `subjectTokenOf`; "*" for all. */
export const journalKeySubject = (service: string, subject: string, keyId: string): string =>
  `ashlar.journalkey.${service}.${subject}.${keyId}`;

/** Parses the subject of a journal record; undefined: it is none. */
export function parseJournalSubject(
  subject: string,
): { readonly service: string; readonly kind: JournalRecordKind; readonly key: string } | undefined {
  const [root, journal, service, kind, key = "", ...rest] = subject.split(".");
  if (root !== "ashlar" || journal !== "journal" || service === undefined || rest.length > 0) return undefined;
  const known = journalRecordKinds.find((each) => each === kind);
  if (known === undefined || (known === "seal") !== (key === "")) return undefined;
  return { service, kind: known, key };
}

/** Returns the subject to which a record is appended; `key` is its number, epoch or sequence. */
export const ingestSubject = (log: LogName, key: number): string => `ashlar.log.${log}.${key}`;
/** Returns the subject to which a rollout's plan is appended, in the stream of activations. */
export const rolloutSubject = (number: number): string => `ashlar.log.activations.rollout-${number}`;
/** The prefix of everything that proxies read about the mesh. */
export const readPrefix = "ashlar.read";
/** Returns the subject on which a committed record is republished. */
export const readSubject = (log: LogName, key: number | "*"): string => `${readPrefix}.${log}.${key}`;

/** The most bytes of a chunk of a blob; each chunk is a message. */
export const blobChunkBytesMax = 512 * 1024;
/** The header of chunk 0 with the number of chunks. */
export const blobChunksHeader = "Ashlar-Chunks";
export const blobSubject = (digest: string, chunk: number): string => `ashlar.blob.${digest}.${chunk}`;

/** The subject of freshness statements: plain NATS, written by control planes only. */
export const freshnessSubject = `${readPrefix}.freshness`;

/** Returns the subject of a proxy's endpoint; only that proxy may write to it. */
export const endpointSubject = (service: string, proxyId: string): string => `ashlar.endpoint.${service}.${proxyId}`;
/** Returns the subject on which a proxy's endpoint is republished once it is stored. Readers subscribe to it. */
export const endpointReadSubject = (service: string, proxyId: string): string =>
  `${readPrefix}.endpoint.${service}.${proxyId}`;
/** Returns the subject of a proxy's heartbeats: plain NATS; only that proxy may write to it. */
export const heartbeatSubject = (service: string, proxyId: string): string => `ashlar.heartbeat.${service}.${proxyId}`;

/**
 * Returns the subject of a proxy's reports about shared limits: plain NATS; only that proxy may write to it, and its
 * service reads it.
 */
export const limitsSubject = (service: string, proxyId: string): string => `ashlar.limits.${service}.${proxyId}`;

/** The subject of orders to prepare a revision: plain NATS, written by control planes only. */
export const prepareOrderSubject = `${readPrefix}.prepare`;

/** The subject of orders to report calls: plain NATS, written by control planes only. */
export const lookOrderSubject = `${readPrefix}.tap`;
/**
 * Returns the subject of a proxy's reports about calls: plain NATS; only that proxy may write to it. `order`: the
 * order's id, or "*".
 */
export const lookSubject = (service: string, proxyId: string, order: string): string =>
  `ashlar.tap.${service}.${proxyId}.${order}`;

/** Returns the prefix of a proxy's private inbox. */
export const proxyInbox = (proxyId: string): string => `_INBOX_${proxyId}`;

const ofProxies: ReadonlySet<string> = new Set(["endpoint", "heartbeat", "decision", "limits", "tap"]);

/** Parses a subject that one proxy may write to into its service and proxy id; undefined: it is none. */
export function parseFleetSubject(subject: string): { readonly service: string; readonly proxyId: string } | undefined {
  const [root, kind, service, proxyId, ...rest] = subject.split(".");
  if (root !== "ashlar" || kind === undefined || !ofProxies.has(kind)) return undefined;
  if (service === undefined || proxyId === undefined || rest.length !== (kind === "tap" ? 1 : 0)) return undefined;
  return { service, proxyId };
}

/**
 * Names on NATS. A log's ingest subject holds a number or epoch as a look-up hint
 * only: what a record is stands in its signed body. Readers never subscribe to an
 * ingest subject (they would see records that lost the race) but to its republished
 * twin under `ashlar.read.`.
 */
export const logNames = ["revisions", "activations", "trust"] as const;
export type LogName = (typeof logNames)[number];

/** The stream of a log: one stream a log, so compare-and-set holds (per stream, not per subject). */
export const streamOf = {
  revisions: "ASHLAR_REVISIONS",
  activations: "ASHLAR_ACTIVATIONS",
  trust: "ASHLAR_TRUST",
} as const satisfies Record<LogName, string>;

/** Units and snapshot lists by digest, write-once. */
export const blobStream = "ASHLAR_BLOBS";
/** The last word of each proxy about its endpoint. */
export const endpointStream = "ASHLAR_ENDPOINTS";
/** The audit log. */
export const auditStream = "ASHLAR_AUDIT";
export const auditSubject = "ashlar.audit";

/** What proxies decided about calls; old ones make room for new ones. */
export const decisionStream = "ASHLAR_DECISIONS";
/** A message of it has at most so many bytes, headers included: with a bound on the messages of a proxy, one on its share. */
export const decisionMessageBytesMax = 32 * 1024;
/** A proxy's decisions; only that proxy may write it. */
export const decisionSubject = (service: string, proxyId: string): string => `ashlar.decision.${service}.${proxyId}`;

/** The stream of a service's journal: entries, outcomes, resolutions and seals (decision 0042). */
export const journalStream = (service: string): string => `ASHLAR_JOURNAL_${service}`;
const journalRecordKinds = ["entry", "outcome", "resolution", "letgo", "seal"] as const;
export type JournalRecordKind = (typeof journalRecordKinds)[number];
/** Everything below it is in the stream of the service's journal. */
export const journalPrefix = (service: string): string => `ashlar.journal.${service}`;
/** `key`: `journalKey` of the entry, which its outcome and resolution share; of what was let go, the bucket; "*" for all. */
export const journalSubject = (service: string, kind: Exclude<JournalRecordKind, "seal">, key: string): string =>
  `${journalPrefix(service)}.${kind}.${key}`;
export const journalSealSubject = (service: string): string => `${journalPrefix(service)}.seal`;
/** What a journal stored is republished below it, headers only: its own service's proxies read it, nobody else. */
export const journaledPrefix = (service: string): string => `ashlar.journaled.${service}`;

/** Where the data keys of a service's private fields are: their messages alone may be erased (decision 0064). */
export const journalKeysStream = (service: string): string => `ASHLAR_KEYS_${service}`;
/** `subject`: `subjectTokenOf`; "*" for all. */
export const journalKeySubject = (service: string, subject: string, keyId: string): string =>
  `ashlar.journalkey.${service}.${subject}.${keyId}`;

/** What a journal's subject says; undefined: it is none. */
export function parseJournalSubject(
  subject: string,
): { readonly service: string; readonly kind: JournalRecordKind; readonly key: string } | undefined {
  const [root, journal, service, kind, key = "", ...rest] = subject.split(".");
  if (root !== "ashlar" || journal !== "journal" || service === undefined || rest.length > 0) return undefined;
  const known = journalRecordKinds.find((each) => each === kind);
  if (known === undefined || (known === "seal") !== (key === "")) return undefined;
  return { service, kind: known, key };
}

/** Where a record is appended; `key` is its number, epoch or sequence. */
export const ingestSubject = (log: LogName, key: number): string => `ashlar.log.${log}.${key}`;
/** Where the plan of a rollout is appended: in the stream of activations, beside the epochs. */
export const rolloutSubject = (number: number): string => `ashlar.log.activations.rollout-${number}`;
/** Everything that proxies hear of the mesh is below this. */
export const readPrefix = "ashlar.read";
/** Where the committed record is republished. */
export const readSubject = (log: LogName, key: number | "*"): string => `${readPrefix}.${log}.${key}`;

/** A blob travels in chunks of at most this many bytes, each a message. */
export const blobChunkBytesMax = 512 * 1024;
/** Header of chunk 0 that says how many chunks there are. */
export const blobChunksHeader = "Ashlar-Chunks";
export const blobSubject = (digest: string, chunk: number): string => `ashlar.blob.${digest}.${chunk}`;

/** Freshness statements; plain NATS, written by control planes only. */
export const freshnessSubject = `${readPrefix}.freshness`;

/** A proxy's endpoint; only that proxy may write it. */
export const endpointSubject = (service: string, proxyId: string): string => `ashlar.endpoint.${service}.${proxyId}`;
/** Where a proxy's endpoint is republished once it is stored: what its readers subscribe to. */
export const endpointReadSubject = (service: string, proxyId: string): string =>
  `${readPrefix}.endpoint.${service}.${proxyId}`;
/** A proxy's heartbeats; plain NATS, only that proxy may write it. */
export const heartbeatSubject = (service: string, proxyId: string): string => `ashlar.heartbeat.${service}.${proxyId}`;

/** A proxy's reports about limits that its service shares; plain NATS, only that proxy may write it, its service reads it. */
export const limitsSubject = (service: string, proxyId: string): string => `ashlar.limits.${service}.${proxyId}`;

/** Orders to prepare a revision; plain NATS, written by control planes only. */
export const prepareOrderSubject = `${readPrefix}.prepare`;

/** Orders to tell about calls; plain NATS, written by control planes only. */
export const lookOrderSubject = `${readPrefix}.tap`;
/** What a proxy tells about calls; plain NATS, only that proxy may write it. `order`: the order's id, or "*". */
export const lookSubject = (service: string, proxyId: string, order: string): string =>
  `ashlar.tap.${service}.${proxyId}.${order}`;

/** A proxy's private inbox prefix. */
export const proxyInbox = (proxyId: string): string => `_INBOX_${proxyId}`;

const ofProxies: ReadonlySet<string> = new Set(["endpoint", "heartbeat", "decision", "limits", "tap"]);

/** The service and proxy id of a subject that one proxy may write. */
export function parseFleetSubject(subject: string): { readonly service: string; readonly proxyId: string } | undefined {
  const [root, kind, service, proxyId, ...rest] = subject.split(".");
  if (root !== "ashlar" || kind === undefined || !ofProxies.has(kind)) return undefined;
  if (service === undefined || proxyId === undefined || rest.length !== (kind === "tap" ? 1 : 0)) return undefined;
  return { service, proxyId };
}

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
  limitsSubject,
  proxyInbox,
  streamOf,
} from "../core/wire/subjects.js";

/** Subjects a NATS user may publish to and subscribe to; nothing else. Neither list is ever empty: to NATS that means everything. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const logStreams = Object.values(streamOf);
/** The streams that proxies read. */
export const readStreams: readonly string[] = [...logStreams, blobStream, endpointStream];
/** Every stream of a mesh. Proxies do not read decisions: what others were asked is not theirs to know. */
export const allStreams: readonly string[] = [...readStreams, auditStream, decisionStream];

const directGets = (streams: readonly string[]): string[] =>
  streams.flatMap((name) => [`$JS.API.DIRECT.GET.${name}`, `$JS.API.DIRECT.GET.${name}.>`]);
const fleetReads = ["ashlar.read.>", "ashlar.endpoint.*.*", "ashlar.heartbeat.*.*"];

/** Creates, checks and updates the streams, at start only. */
export function bootstrapPermissions(inboxPrefix: string): NatsPermissions {
  return {
    publish: allStreams.flatMap((name) => [
      `$JS.API.STREAM.CREATE.${name}`,
      `$JS.API.STREAM.UPDATE.${name}`,
      `$JS.API.STREAM.INFO.${name}`,
    ]),
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
      ...allStreams.flatMap((name) => [`$JS.API.STREAM.INFO.${name}`, `$JS.API.STREAM.MSG.GET.${name}`]),
      ...directGets(allStreams),
    ],
    subscribe: [...fleetReads, `${inboxPrefix}.>`],
  };
}

/** A proxy: reads what was committed, writes its own endpoint, heartbeat, decisions and limit reports. Its inbox prefix is `proxyInbox(proxyId)`. */
export function proxyPermissions(service: string, proxyId: string): NatsPermissions {
  return {
    publish: [
      endpointSubject(service, proxyId),
      heartbeatSubject(service, proxyId),
      decisionSubject(service, proxyId),
      limitsSubject(service, proxyId),
      ...directGets(readStreams),
    ],
    subscribe: [...fleetReads, limitsSubject(service, "*"), `${proxyInbox(proxyId)}.>`],
  };
}

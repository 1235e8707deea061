/**
 * The subjects that pass between the mesh's NATS account and that of its proxies. An account is a separate space of
 * subjects: nothing passes that is not listed here. The server itself routes the answers of services, so a reply
 * subject that a proxy chooses has a meaning only in the proxies' account, where there is no JetStream.
 */
import {
  decisionSubject,
  endpointSubject,
  heartbeatSubject,
  journaledPrefix,
  journalKeySubject,
  journalSubject,
  lookSubject,
  readPrefix,
} from "../core/wire/subjects.js";
import { directGetSubject } from "./nats-permissions.js";

/** An export of one account that the other account imports under the same subject. */
export interface AccountLink {
  /** The name for people. */
  readonly name: string;
  readonly subject: string;
  /**
   * "stream": messages pass from the exporting account to the other. "service": requests pass to the exporting account,
   * and answers back.
   */
  readonly type: "stream" | "service";
}

/** The exports of the mesh's account, which the proxies' account imports. */
export const meshExports: readonly AccountLink[] = [
  { name: "committed-records", subject: `${readPrefix}.>`, type: "stream" },
  { name: "journaled-records", subject: `${journaledPrefix("*")}.>`, type: "stream" },
  // this exports every stream, because journals come and go with policy while an operator's accounts do not change; the
  // permissions of a proxy's user restrict which streams it reads
  { name: "read-streams", subject: directGetSubject("*"), type: "service" },
  { name: "append-endpoint", subject: endpointSubject("*", "*"), type: "service" },
  { name: "append-decisions", subject: decisionSubject("*", "*"), type: "service" },
  { name: "append-journal-entry", subject: journalSubject("*", "entry", "*"), type: "service" },
  { name: "append-journal-outcome", subject: journalSubject("*", "outcome", "*"), type: "service" },
  { name: "append-journal-key", subject: journalKeySubject("*", "*", "*"), type: "service" },
];

/** The exports of the proxies' account, which the mesh's account imports. */
export const proxyExports: readonly AccountLink[] = [
  { name: "heartbeats", subject: heartbeatSubject("*", "*"), type: "stream" },
  { name: "told-calls", subject: lookSubject("*", "*", "*"), type: "stream" },
];

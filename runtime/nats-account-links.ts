/**
 * What passes between the mesh's NATS account and that of its proxies. Each account is a world of subjects of its own:
 * nothing passes that is not listed here, and the server itself routes the answers of services, so that a reply subject
 * which a proxy chooses means something in the proxies' account only, where there is no JetStream.
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

/** An export of one account, which is an import of the other, under the same subject. */
export interface AccountLink {
  /** For people. */
  readonly name: string;
  readonly subject: string;
  /** "stream": messages pass from the account that exports to the other; "service": requests pass to it, answers back. */
  readonly type: "stream" | "service";
}

/** What the mesh's account exports and the proxies' account imports. */
export const meshExports: readonly AccountLink[] = [
  { name: "committed-records", subject: `${readPrefix}.>`, type: "stream" },
  { name: "journaled-records", subject: `${journaledPrefix("*")}.>`, type: "stream" },
  // every stream, since journals come with policy and an operator's accounts do not change with it: which of them a proxy
  // reads is in its user's permissions
  { name: "read-streams", subject: directGetSubject("*"), type: "service" },
  { name: "append-endpoint", subject: endpointSubject("*", "*"), type: "service" },
  { name: "append-decisions", subject: decisionSubject("*", "*"), type: "service" },
  { name: "append-journal-entry", subject: journalSubject("*", "entry", "*"), type: "service" },
  { name: "append-journal-outcome", subject: journalSubject("*", "outcome", "*"), type: "service" },
  { name: "append-journal-key", subject: journalKeySubject("*", "*", "*"), type: "service" },
];

/** What the proxies' account exports and the mesh's account imports. */
export const proxyExports: readonly AccountLink[] = [
  { name: "heartbeats", subject: heartbeatSubject("*", "*"), type: "stream" },
  { name: "told-calls", subject: lookSubject("*", "*", "*"), type: "stream" },
];

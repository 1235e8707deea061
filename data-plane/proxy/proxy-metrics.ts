import type { status } from "@grpc/grpc-js";
import type { EjectionReason } from "../../core/balance/outliers.js";
import type { SpiffeId } from "../../core/identity.js";
import type { AnswerReason } from "./answer.js";
import type { HedgeOutcome } from "./hedge/hedge-outcome.js";
import type { MirrorOutcome } from "./mirror/mirror-outcome.js";

export type Direction = "inbound" | "outbound";

/** Why a connection was not accepted: a label for metrics. */
export type HandshakeFailure = "tls" | "alpn" | "identity" | "preface" | "address" | "listener";

/** A call that is over. Read at once; not kept. */
export interface EndedCall {
  readonly direction: Direction;
  readonly service: string;
  readonly method: string;
  /** The caller; for outbound calls, this service itself. */
  readonly caller: SpiffeId;
  readonly code: status;
  /** Why the proxy answered itself; undefined if the upstream answered. */
  readonly reason: AnswerReason | undefined;
  readonly tookMs: number;
  /** The version of the instance that was called last, for inbound calls of this proxy itself; "" if none was called. */
  readonly version: string;
  /** Bytes of messages with their prefixes, as they arrived from the caller and from the upstream. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** How many streams were opened upstream for it. */
  readonly attempts: number;
  /** It was a copy of a call. */
  readonly isMirrored: boolean;
}

/** Counts what the proxy does. Called on the hot path: it is cheap and never fails. */
export interface ProxyMetrics {
  callStarted(direction: Direction): void;
  callEnded(call: EndedCall): void;
  connection(direction: Direction, change: 1 | -1): void;
  /** A switch of revision judged `open` calls again and ended `closed` of them. `tookMs`: until the last had ended. */
  judgedAgain(open: number, closed: number, tookMs: number): void;
  /** An instance of `service` gets no calls for a while because of what it answered. */
  ejected(service: string, reason: EjectionReason): void;
  /** A call to `service` is tried again by policy. */
  retried(service: string): void;
  /** A call to `service` is not tried again, because its messages are longer than what is kept of them. */
  tooLong(service: string): void;
  /** What became of a try that a route's hedge began beside others, to `service`. */
  hedged(service: string, outcome: HedgeOutcome): void;
  /** What became of a copy of a call to `service`. */
  mirrored(service: string, outcome: MirrorOutcome): void;
  /** One that was ejected gets calls again, or is not there any more. */
  returned(service: string): void;
  handshakeFailed(direction: Direction, reason: HandshakeFailure): void;
}

import type { status } from "@grpc/grpc-js";
import type { EjectionReason } from "../../core/balance/outliers.js";
import type { SpiffeId } from "../../core/identity.js";
import type { AnswerReason } from "./answer.js";
import type { HedgeOutcome } from "./hedge/hedge-outcome.js";
import type { MirrorOutcome } from "./mirror/mirror-outcome.js";

export type Direction = "inbound" | "outbound";

/** Why a connection was not accepted. It is a label in metrics. */
export type HandshakeFailure = "tls" | "alpn" | "identity" | "preface" | "address" | "listener";

/** A call that is over. Metrics read it at once and do not keep it. */
export interface EndedCall {
  readonly direction: Direction;
  readonly service: string;
  readonly method: string;
  /** The caller. For outbound calls: this service itself. */
  readonly caller: SpiffeId;
  readonly code: status;
  /** Why the proxy answered itself; undefined if the upstream answered. */
  readonly reason: AnswerReason | undefined;
  readonly tookMs: number;
  /** The version of the instance that was called last; for inbound calls, of this proxy. "": no instance was called. */
  readonly version: string;
  /** Bytes of messages with their prefixes, as they arrived from the caller and from the upstream. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** How many upstream streams were opened for the call. */
  readonly attempts: number;
  /** Whether the call was a copy of another call. */
  readonly isMirrored: boolean;
}

/** Counts what the proxy does. Called on the hot path: it is cheap and never fails. */
export interface ProxyMetrics {
  callStarted(direction: Direction): void;
  callEnded(call: EndedCall): void;
  connection(direction: Direction, change: 1 | -1): void;
  /** A switch of revision judged `open` calls again and ended `closed` of them, the last one after `tookMs`. */
  judgedAgain(open: number, closed: number, tookMs: number): void;
  /** An instance of `service` gets no calls for a while because of its answers. */
  ejected(service: string, reason: EjectionReason): void;
  /** A call to `service` was tried again because policy says so. */
  retried(service: string): void;
  /** A call to `service` was not tried again because its messages are longer than what is kept. */
  tooLong(service: string): void;
  /** A hedged try to `service` ended. */
  hedged(service: string, outcome: HedgeOutcome): void;
  /** A copy of a call to `service` ended. */
  mirrored(service: string, outcome: MirrorOutcome): void;
  /** An ejected instance gets calls again, or is gone. */
  returned(service: string): void;
  handshakeFailed(direction: Direction, reason: HandshakeFailure): void;
}

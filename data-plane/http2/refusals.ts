/** Why the engine refused something. Each reason is counted under its own name. */
export const refusalReasons = [
  "none",
  // Reasons that end a connection.
  "preface",
  "frame_size",
  "protocol",
  "settings_value",
  "settings_entries",
  "settings_rate",
  "ping_rate",
  "ping_strikes",
  "priority_rate",
  "glitches",
  "empty_data",
  "small_data",
  "window_updates",
  "flow_control",
  "compression",
  "header_flood",
  "continuation_flood",
  "peer_resets",
  "own_resets",
  "control_queue",
  "timeout_preface",
  "timeout_headers",
  "timeout_settings",
  "timeout_keepalive",
  "push_promise",
  "connect_method",
  "internal",
  // The peer ended the connection with an error.
  "by_peer",
  // Reasons that end a stream.
  "streams_max",
  "draining",
  "header_list",
  "stream_closed",
  "stream_window",
  "priority",
  "stalled",
  "memory",
  "message_length",
  "pseudo_field",
  "method",
  "scheme",
  "path",
  "authority",
  "field_name",
  "field_value",
  "connection_field",
  "te",
  "content_length",
  "content_type",
  "grpc_timeout",
  "trailers",
  "status",
  // Reasons that end a request at a gateway.
  "origin",
  "http1",
] as const;

export type RefusalReason = (typeof refusalReasons)[number];

/** The index of each reason in the list. */
export const refusal = Object.freeze(
  Object.fromEntries(refusalReasons.map((reason, place) => [reason, place])),
) as Readonly<Record<RefusalReason, number>>;

/** gRFC A8: clients that know these words ask less often from then on. */
const tooManyPings = "too_many_pings";

/** Returns the debug text that goes to the peer with the code of a GOAWAY. */
export function debugData(reason: number): string {
  const isPing = reason === refusal.ping_rate || reason === refusal.ping_strikes;
  return isPing ? tooManyPings : (refusalReasons[reason] ?? "");
}

/** Counters of one or many connections. They only grow. */
export class EngineCounters {
  readonly #refused = new Float64Array(refusalReasons.length);
  readonly #ended = new Float64Array(refusalReasons.length);
  unknownFrames = 0;
  obsTextFields = 0;
  streams = 0;
  peerResets = 0;
  ownResets = 0;

  refuse(reason: number): void {
    this.#refused[reason] = (this.#refused[reason] as number) + 1;
  }

  refused(reason: RefusalReason): number {
    return this.#refused[refusal[reason]] as number;
  }

  /** Counts a connection that ended for this reason. */
  end(reason: number): void {
    this.#ended[reason] = (this.#ended[reason] as number) + 1;
  }

  ended(reason: RefusalReason): number {
    return this.#ended[refusal[reason]] as number;
  }
}

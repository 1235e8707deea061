import type { FieldBlock } from "./field-block.js";
import type { BlockPool } from "./output.js";
import type { PreparedField } from "./prepared-field.js";
import type { EngineCounters } from "./refusals.js";
import type { Stream } from "./stream.js";

/** The owner of a connection: opens the calls and knows the socket. */
export interface ConnectionHandler {
  /**
   * Servers: a request passed every check. The handler must set `stream.sink`; `fields` is valid only during this call.
   */
  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /**
   * Servers: a request has more header fields or bytes than allowed. The handler must answer the stream; it gets no
   * fields.
   */
  onOversized(stream: Stream): void;
  /** Servers: fields to append to the 415 answer that the engine gives itself, or null. */
  lastFields(): readonly PreparedField[] | null;
  /** There is output, or the connection ended: the handler must call `takeOutput` soon. Called once until then. */
  onWork(): void;
  /** The number of streams that the peer accepts has changed. */
  onCapacity(): void;
  /** A sink threw while the engine told it that its stream had ended. */
  onFault(error: unknown): void;
}

export interface ConnectionDeps {
  readonly handler: ConnectionHandler;
  readonly counters: EngineCounters;
  readonly pool: BlockPool;
}

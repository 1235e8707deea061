import type { FieldBlock } from "./field-block.js";
import type { BlockPool } from "./output.js";
import type { PreparedField } from "./prepared-field.js";
import type { EngineCounters } from "./refusals.js";
import type { Stream } from "./stream.js";

/** The owner of a connection: opens the calls and knows the socket. */
export interface ConnectionHandler {
  /** Servers: a request that passed every check. Must set `stream.sink`; fields are valid during the call only. */
  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** Servers: a request whose header fields are more than allowed, of which nothing more is told; must be answered. */
  onOversized(stream: Stream): void;
  /** Servers: what ends an answer that the engine gives itself, 415; null: nothing. */
  lastFields(): readonly PreparedField[] | null;
  /** There is output, or the connection ended: call `takeOutput` soon. Once until then. */
  onWork(): void;
  /** The peer takes no new streams, or may take more of them than before. */
  onCapacity(): void;
  /** A sink threw while the end of its stream was told. */
  onFault(error: unknown): void;
}

export interface ConnectionDeps {
  readonly handler: ConnectionHandler;
  readonly counters: EngineCounters;
  readonly pool: BlockPool;
}

/**
 * The interface to NATS and JetStream over one connection, implemented by `nats.ts` on a real server and by
 * `memory-bus.ts` in memory. One contract suite tests both.
 */

/** The place in a stream where a message was stored before the server sent it. */
export interface MessageOrigin {
  readonly stream: string;
  /** The subject that the message was published to. */
  readonly subject: string;
}

/** A message that arrived by a subscription. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Returns the first value of the header with exactly this name, or undefined. */
  header(name: string): string | undefined;
  /**
   * True if the server sent this message on behalf of a stream (a republished record, or the answer to a direct get
   * that somebody pointed at this subject), or if its header block is malformed, so that its origin is unknown. A
   * signed message counts however it arrived; an unsigned message of an older proxy counts only if this is false.
   */
  readonly relayed: boolean;
  /**
   * Where the stream says that the message was stored and under which subject it was published. Present in messages
   * that were read from a stream or republished; undefined: the message does not say it, or not unambiguously.
   */
  readonly origin: MessageOrigin | undefined;
}

/**
 * Returns a message of `stream`, read or republished, as its writer published it there, or undefined if it is not from
 * that stream.
 */
export function asPublished(message: BusMessage, stream: string): BusMessage | undefined {
  const { origin } = message;
  return origin?.stream === stream ? { ...message, subject: origin.subject, relayed: false } : undefined;
}

/** A message that is stored in a stream. */
export interface StoredMessage extends BusMessage {
  readonly sequence: number;
  /** When the message was stored, in Unix milliseconds of the server's clock. */
  readonly storedMs: number;
}

/**
 * Selects a message of a stream: the one at a sequence, the last of a subject, or the next of a subject (wildcards
 * allowed) from `from` on.
 */
export type StoredQuery =
  | { readonly sequence: number }
  | { readonly lastOf: string }
  | { readonly nextOf: string; readonly from: number };

/** The messages of a subscription in the order in which they arrived. The iteration ends when it is closed. */
export interface BusSubscription extends AsyncIterable<BusMessage> {
  /**
   * The number of messages that were dropped, oldest first, because the reader was too slow. A reader that sees it grow
   * must read the stream again.
   */
  readonly dropped: number;
  close(): void;
}

/** How a stream is configured. Limits that are undefined are not set. */
export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly replicas: number;
  readonly discard: "new" | "old";
  /**
   * With `discard: "new"`: true if the limit per subject refuses new messages too, and not only the limit of the
   * stream.
   */
  readonly discardNewPerSubject: boolean;
  readonly maxMessagesPerSubject: number | undefined;
  /** The most bytes of all messages together; undefined: as many as there is room for. */
  readonly maxBytes: number | undefined;
  /** The most messages; left out: as many as there is room for. */
  readonly maxMessages?: number | undefined;
  /** The most bytes of one message with its headers; undefined: the server's bound applies. */
  readonly maxMessageBytes: number | undefined;
  /** The age in milliseconds at which messages are removed; undefined: they do not expire. */
  readonly maxAgeMs?: number | undefined;
  readonly denyDelete: boolean;
  readonly denyPurge: boolean;
  readonly allowDirect: boolean;
  /** Republishes stored messages on another subject; `headersOnly`: without their data. */
  readonly republish: { readonly from: string; readonly to: string; readonly headersOnly?: boolean } | undefined;
  /**
   * The milliseconds for which a second message with the same id (`Nats-Msg-Id`) is not stored; undefined: two minutes.
   */
  readonly duplicateWindowMs?: number | undefined;
  /**
   * What is appended is stored and never acknowledged, so that nobody takes it for kept; left out: it is acknowledged.
   */
  readonly noAck?: boolean | undefined;
}

/** A stream as the server describes it. */
export interface StreamInfo {
  readonly spec: StreamSpec;
  /**
   * Parts of its configuration that lose or rewrite messages, in words for people, such as "max_msgs 1". Empty for a
   * stream as `createStream` makes it.
   */
  readonly dangers: readonly string[];
  /** When the stream was created. Another time means another stream, whatever its last sequence is. */
  readonly created: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly messages: number;
  /** The number of replicas that lack messages or are away. */
  readonly lagging: number;
  /** The bytes that the messages take in the server's store. */
  readonly bytes: number;
}

export interface AppendOptions {
  /** The append fails unless this is the stream's last sequence: compare-and-set over the whole stream. */
  readonly expectLastSequence?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Called if the stream already had a message with this `Nats-Msg-Id`; `append` then returns that message's sequence.
   */
  readonly onDuplicate?: () => void;
}

export interface BusStatus {
  readonly connected: boolean;
}

/** The server that the connection leads to. */
export interface NatsPlace {
  /** "HOST:PORT". */
  readonly address: string;
  /** The addresses ("HOST:PORT") of the other servers of the cluster, as the server states them. */
  readonly others: readonly string[];
}

export interface Bus {
  /** True while there is a connection. */
  readonly connected: boolean;
  /** The server that we are connected to; undefined while there is no connection, and in memory. */
  readonly place?: NatsPlace | undefined;
  /** The server's error while it refuses our credentials; undefined if it accepts them or is away. */
  readonly refusal?: string | undefined;
  /**
   * Resolves at the next moment there is a connection; fails with `unavailable` when `signal` aborts or the bus is
   * closed.
   */
  whenConnected(signal?: AbortSignal): Promise<void>;
  /** Calls `listener` at every change. Returns a function that removes the listener. */
  onStatus(listener: (status: BusStatus) => void): () => void;

  /** Sends a plain message, at most once. False: there is no connection, nothing was sent or kept. */
  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean;
  /**
   * Subscribes to messages that arrive from now on, across reconnects. Keeps at most `queueMax` (default 1024) unread
   * messages.
   */
  subscribe(subject: string, options?: { readonly queueMax?: number }): BusSubscription;
  /** Resolves when the server has handled everything sent before; fails with `unavailable`. */
  flush(): Promise<void>;

  /**
   * Appends to the stream that has `subject`, and returns the sequence once the message is stored. Fails with
   * `conflict` (the expected sequence is not the last), `exists` (a write-once subject has its message), `limit` (the
   * stream is full), `denied`, or `unavailable`: then the message may or may not be stored. If the stream stored a
   * message with the same `Nats-Msg-Id` within its window, returns that one's sequence and stores nothing.
   */
  append(subject: string, data: Uint8Array, options?: AppendOptions): Promise<number>;
  /**
   * Reads a message by direct get from any replica, which may lag. Returns undefined if there is none; fails with
   * `unavailable` or `denied`.
   */
  directGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined>;
  /** Reads from the stream's leader, which has every acknowledged append. For control planes only. */
  leaderGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined>;

  /** Returns the stream's state, or undefined if the stream does not exist. */
  streamInfo(name: string): Promise<StreamInfo | undefined>;
  /** Returns the names of all streams of the account. */
  streamNames(): Promise<readonly string[]>;
  /**
   * Creates a file-backed stream. Fails with `exists` if a stream of that name has another configuration. Its first
   * message gets `firstSequence` (default 1); above 1, the stream must allow messages to be purged.
   */
  createStream(spec: StreamSpec, firstSequence?: number): Promise<void>;
  /**
   * Changes the configuration of an existing stream. Fails with `unavailable` if the server cannot make this change.
   */
  updateStream(spec: StreamSpec): Promise<void>;
  /** Erases one message for good: its bytes are overwritten on the disks of all replicas. Fails with `unavailable`. */
  eraseMessage(stream: string, sequence: number): Promise<void>;
  /** Deletes a stream with all its messages. */
  deleteStream(name: string): Promise<void>;

  /** Reconnects with the present credentials. Subscriptions continue. */
  reconnect(): void;
  /** Checks where NATS is now, and reconnects if it has moved. Subscriptions continue. */
  moved(): void;
  /** Ends the connection and all subscriptions. */
  close(): Promise<void>;
}

/** A connection of the system account, whose API answers requests. */
export interface SystemBus extends Pick<Bus, "connected" | "subscribe" | "onStatus" | "close"> {
  /** Sends a request and returns the answer; fails with `unavailable` or `denied`. */
  ask(subject: string, data: string): Promise<Pick<BusMessage, "data">>;
}

/**
 * The interface to NATS and JetStream over one connection, implemented by `nats.ts` on a real server and by
 * `memory-bus.ts` in memory. One contract suite tests both.
 */

/** The place in a stream where a message was stored before the server sent it. */
export interface MessageOrigin {
  readonly stream: string;
  /** The subject that it was published to. */
  readonly subject: string;
}

/** A message that came by a subscription. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** The first value of a header, by its exact name. */
  header(name: string): string | undefined;
  /**
   * True: the server sent this on behalf of a stream (a republished record, or the answer to a direct get
   * that somebody pointed at this subject), or its header block is malformed, so that nobody can tell. What is signed
   * counts whichever way it came; of proxies of a version that does not sign only what they published themselves.
   */
  readonly relayed: boolean;
  /**
   * The stream's own word for where this was stored, as its writer published it: of a message that is read from a
   * stream, and of a republished one. undefined: there is none, or it is not unambiguous.
   */
  readonly origin: MessageOrigin | undefined;
}

/** A message of `stream`, read or republished, as its writer published it there; undefined: it is none. */
export function asPublished(message: BusMessage, stream: string): BusMessage | undefined {
  const { origin } = message;
  return origin?.stream === stream ? { ...message, subject: origin.subject, relayed: false } : undefined;
}

/** A message of a stream. */
export interface StoredMessage extends BusMessage {
  readonly sequence: number;
  /** Unix milliseconds on the server's clock at which the message was stored. */
  readonly storedMs: number;
}

/** Which message of a stream: at a sequence, the last of a subject, or the next of a subject (wildcards allowed) from `from` on. */
export type StoredQuery =
  | { readonly sequence: number }
  | { readonly lastOf: string }
  | { readonly nextOf: string; readonly from: number };

/** Messages in the order they came; iteration ends when it is closed. */
export interface BusSubscription extends AsyncIterable<BusMessage> {
  /** How many messages were dropped, oldest first, because the reader was too slow. Whoever sees it grow reads the stream again. */
  readonly dropped: number;
  close(): void;
}

/** How a stream is configured. Limits that are undefined are not set. */
export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly replicas: number;
  readonly discard: "new" | "old";
  /** With `discard: "new"`: the limit per subject refuses new messages, not only the limit of the stream. */
  readonly discardNewPerSubject: boolean;
  readonly maxMessagesPerSubject: number | undefined;
  readonly maxBytes: number | undefined;
  /** The most bytes of all messages together; undefined: as many as there is room for. */
  readonly maxMessages?: number | undefined;
  /** The most bytes of one message, its headers included; undefined: not known yet. */
  readonly maxMessageBytes: number | undefined;
  /** Milliseconds after which messages are removed. */
  readonly maxAgeMs?: number | undefined;
  readonly denyDelete: boolean;
  readonly denyPurge: boolean;
  readonly allowDirect: boolean;
  /** What is stored is sent on; `headersOnly`: without its data. */
  readonly republish: { readonly from: string; readonly to: string; readonly headersOnly?: boolean } | undefined;
  /** For so many milliseconds a second message of one id (`Nats-Msg-Id`) is not stored; undefined: two minutes. */
  readonly duplicateWindowMs?: number | undefined;
  /** What is appended is stored and never acknowledged, so that nobody takes it for kept; left out: it is acknowledged. */
  readonly noAck?: boolean | undefined;
}

/** A stream as the server has it. */
export interface StreamInfo {
  readonly spec: StreamSpec;
  /** What else its configuration has that loses or rewrites messages, for people: "max_msgs 1" … Empty for a stream as `createStream` makes it. */
  readonly dangers: readonly string[];
  /** When it was created: another time means another stream, whatever its sequence says. */
  readonly created: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly messages: number;
  /** Replicas that do not have all of it yet, or that are away. */
  readonly lagging: number;
  /** What the messages take in the server's store. */
  readonly bytes: number;
}

export interface AppendOptions {
  /** The stream's last sequence must be this: compare-and-set over the whole stream. */
  readonly expectLastSequence?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called if the stream had a message with this `Nats-Msg-Id`, whose sequence is the answer. */
  readonly onDuplicate?: () => void;
}

export interface BusStatus {
  readonly connected: boolean;
}

/** The server that a connection is to. */
export interface NatsPlace {
  /** "HOST:PORT". */
  readonly address: string;
  /** "HOST:PORT" of the other servers of its cluster, as it says. */
  readonly others: readonly string[];
}

export interface Bus {
  /** True while there is a connection. */
  readonly connected: boolean;
  /** undefined while there is no connection, and in memory. */
  readonly place?: NatsPlace | undefined;
  /** The server's error while it refuses our credentials; undefined if it accepts them or is away. */
  readonly refusal?: string | undefined;
  /** Resolves at the next moment there is a connection; fails with `unavailable` when `signal` aborts or the bus is closed. */
  whenConnected(signal?: AbortSignal): Promise<void>;
  /** Calls `listener` at every change. Returns a function that removes the listener. */
  onStatus(listener: (status: BusStatus) => void): () => void;

  /** Sends a plain message, at most once. False: there is no connection, nothing was sent or kept. */
  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean;
  /** Receives from now on, over reconnects too. Keeps at most `queueMax` (default 1024) messages that were not read yet. */
  subscribe(subject: string, options?: { readonly queueMax?: number }): BusSubscription;
  /** Resolves when the server has handled everything sent before; fails with `unavailable`. */
  flush(): Promise<void>;

  /**
   * Appends to the stream that has `subject` and resolves with its sequence once it is stored. Fails with
   * `conflict` (the expected sequence is not the last), `exists` (a write-once subject has its message),
   * `limit` (the stream is full), `denied`, or `unavailable`: then it may or may not have been stored. Where the stream
   * has a message of the same `Nats-Msg-Id` within its window, that one's sequence is the answer and nothing is stored.
   */
  append(subject: string, data: Uint8Array, options?: AppendOptions): Promise<number>;
  /** A message by direct get from any replica (may lag); undefined if there is none. Fails with `unavailable`, `denied`. */
  directGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined>;
  /** Reads from the stream's leader, which has every acknowledged append. For control planes only. */
  leaderGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined>;

  /** The stream's state, or undefined if there is none. */
  streamInfo(name: string): Promise<StreamInfo | undefined>;
  /** The names of all streams of the account. */
  streamNames(): Promise<readonly string[]>;
  /**
   * Creates a file-backed stream; `exists` if there is one of that name with another configuration. Its first message gets
   * `firstSequence` (default 1), for which its messages must not be kept from being purged.
   */
  createStream(spec: StreamSpec, firstSequence?: number): Promise<void>;
  /**
   * Changes the configuration of an existing stream. Fails with `unavailable` if the server cannot make this change.
   */
  updateStream(spec: StreamSpec): Promise<void>;
  /** Erases one message for good: its bytes are written over on the disks of all replicas. Fails with `unavailable`. */
  eraseMessage(stream: string, sequence: number): Promise<void>;
  /** Removes a stream with everything in it. */
  deleteStream(name: string): Promise<void>;

  /** Reconnects with the present credentials. Subscriptions continue. */
  reconnect(): void;
  /** Looks where NATS is now, and connects there if that is another place. Subscriptions continue. */
  moved(): void;
  /** Ends the connection and all subscriptions. */
  close(): Promise<void>;
}

/** A connection of the system account: its API answers requests. */
export interface SystemBus extends Pick<Bus, "connected" | "subscribe" | "onStatus" | "close"> {
  /** The answer; fails with `unavailable`, `denied`. */
  ask(subject: string, data: string): Promise<Pick<BusMessage, "data">>;
}

/** A budget that refills: at most `burst` at once, and `perSecond` on average. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** An unlimited budget. */
const unlimited: Rate = { burst: Number.POSITIVE_INFINITY, perSecond: Number.POSITIVE_INFINITY };

/** Which rules apply to requests (validate-fields.ts). */
export interface RequestRules {
  /**
   * Accept only POST to a gRPC path with a gRPC content type. If false, that holds only for requests that have a gRPC
   * content type.
   */
  readonly grpcOnly: boolean;
  /** The scheme that a request must have; undefined allows http and https. */
  readonly scheme: "http" | "https" | undefined;
  /** Refuse field names with an underscore, for upstreams that replace it with a hyphen. */
  readonly refuseUnderscore: boolean;
}

/** The limits of one connection. Every default is safe on an open port. */
export interface EngineLimits {
  readonly concurrentStreamsMax: number;
  readonly headerListBytesMax: number;
  /**
   * A block whose list size reaches this many times `headerListBytesMax` ends the connection. If infinite, such a block
   * is read to its end without keeping its fields, and the stream's owner decides.
   */
  readonly headerFloodFactor: number;
  /**
   * Encoded bytes of one block in CONTINUATION frames; at least four times `headerListBytesMax`, which is also what 0
   * means.
   */
  readonly headerBlockBytesMax: number;
  /** Fields of one block; dropped fields and the pieces of a cookie count too. */
  readonly headerFieldsMax: number;
  /** CONTINUATION frames of one block that are shorter than 8 KiB; longer ones are bounded by their bytes. */
  readonly continuationFramesMax: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Bytes of one gRPC message, as stated by its prefix. */
  readonly messageBytesMax: number;
  /** Bytes of output that wait for the socket. Beyond it no DATA is written, and the owner should stop reading. */
  readonly outputBytesMax: number;
  /** Frames other than HEADERS and DATA that wait for the socket. Beyond it the owner should stop reading. */
  readonly controlFramesMax: number;
  readonly settingsEntriesMax: number;
  /**
   * Servers: resets of young streams. A stream that lived for 50 ms or more is charged nothing: calls that the limit of
   * open streams lets through at that pace are an honest load. A younger stream is charged the part of 50 ms that it
   * did not live: 1 if it is reset at once, 0.5 after 25 ms.
   */
  readonly peerResets: Rate;
  /** Servers: streams that we reset for a fault that no honest peer commits. */
  readonly ownResets: Rate;
  readonly glitches: Rate;
  readonly settings: Rate;
  /** PINGs in addition to one per DATA frame that was sent: gRPC libraries measure bandwidth with PINGs. */
  readonly pings: Rate;
  readonly priorities: Rate;
  readonly emptyData: Rate;
  readonly emptyDataConsecutiveMax: number;
  /**
   * Charges to one stream, in bytes: each DATA frame under 256 bytes that completes no message is charged 256 minus its
   * length.
   */
  readonly smallData: Rate;
  /**
   * The same charges over all streams of the connection. The stream whose frame exceeds the budget ends, not the
   * connection.
   */
  readonly smallDataTogether: Rate;
  /** WINDOW_UPDATEs, and resets of streams that are over, in addition to those that traffic accounts for. */
  readonly windowUpdatesSpare: number;
  /** Servers: PINGs closer together than this are strikes, unless there was traffic; 0 turns strikes off. */
  readonly pingIntervalMinMs: number;
  readonly pingStrikesMax: number;
  readonly prefaceTimeoutMs: number;
  readonly headerBlockTimeoutMs: number;
  readonly settingsAckTimeoutMs: number;
  /** A stream whose output has waited this long for the peer's window is cancelled. */
  readonly stallTimeoutMs: number;
  /** Time without bytes from the peer after which we send a keepalive PING; 0 sends none. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /**
   * Clients: this many keepalive PINGs after a stream was opened are sent at that pace, then one every
   * `patientKeepaliveMs`.
   */
  readonly keepalivesAtPaceMax: number;
  readonly patientKeepaliveMs: number;
  /** Whether keepalive PINGs are sent while no stream is open. */
  readonly keepaliveIdle: boolean;
  /** Time between the two GOAWAYs of a shutdown if the peer does not answer the PING. */
  readonly drainPingTimeoutMs: number;
  readonly requestRules: RequestRules;
}

export const defaultLimits: EngineLimits = {
  concurrentStreamsMax: 100,
  headerListBytesMax: 65_536,
  headerFieldsMax: 1024,
  headerFloodFactor: 4,
  headerBlockBytesMax: 0,
  continuationFramesMax: 8,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 1_048_576,
  messageBytesMax: 67_108_864,
  outputBytesMax: 131_072,
  controlFramesMax: 1000,
  settingsEntriesMax: 32,
  peerResets: { burst: 500, perSecond: 200 },
  ownResets: { burst: 500, perSecond: 10 },
  glitches: { burst: 1000, perSecond: 100 },
  settings: { burst: 50, perSecond: 50 },
  pings: { burst: 100, perSecond: 100 },
  priorities: { burst: 100, perSecond: 100 },
  emptyData: { burst: 100, perSecond: 100 },
  emptyDataConsecutiveMax: 10,
  smallData: { burst: 153_600, perSecond: 153_600 },
  smallDataTogether: { burst: 1_536_000, perSecond: 1_536_000 },
  windowUpdatesSpare: 5,
  pingIntervalMinMs: 10_000,
  pingStrikesMax: 2,
  prefaceTimeoutMs: 5_000,
  headerBlockTimeoutMs: 10_000,
  settingsAckTimeoutMs: 10_000,
  stallTimeoutMs: 300_000,
  keepaliveMs: 0,
  keepaliveTimeoutMs: 20_000,
  keepalivesAtPaceMax: Number.POSITIVE_INFINITY,
  patientKeepaliveMs: 330_000,
  keepaliveIdle: true,
  drainPingTimeoutMs: 1_000,
  requestRules: { grpcOnly: true, scheme: undefined, refuseUnderscore: false },
};

/** How long a stuck application may stay silent: as long as it may leave output untaken (`stallTimeoutMs`). */
export const applicationPatienceMs = 300_000;

/**
 * Limits for the proxy's own application, in either role. It can hurt only itself, and ending its connection would end
 * the calls of others. Its frames are answered as fast as it takes the answers. Streams that trickle small frames end
 * before they trouble the next proxy. A header block that is far too long ends only its own call; more than 4 MiB,
 * which a decoder would have to hold, end the connection.
 */
export const applicationLimits: EngineLimits = {
  ...defaultLimits,
  headerFloodFactor: Number.POSITIVE_INFINITY,
  headerBlockBytesMax: 4_194_304,
  continuationFramesMax: Number.POSITIVE_INFINITY,
  peerResets: unlimited,
  ownResets: unlimited,
  glitches: unlimited,
  settings: unlimited,
  pings: unlimited,
  priorities: unlimited,
  emptyData: unlimited,
  emptyDataConsecutiveMax: Number.POSITIVE_INFINITY,
  smallData: { burst: 76_800, perSecond: 76_800 },
  smallDataTogether: unlimited,
  windowUpdatesSpare: Number.POSITIVE_INFINITY,
  pingIntervalMinMs: 0,
  // A process that is blocked, stopped or in a debugger is not dead, and the end of a process closes its socket.
  prefaceTimeoutMs: applicationPatienceMs,
  headerBlockTimeoutMs: applicationPatienceMs,
  settingsAckTimeoutMs: applicationPatienceMs,
  keepaliveMs: 0,
};

/** A budget that is spent and refills with time. It starts full. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perMs: number;
  #tokens: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#burst = rate.burst;
    this.#perMs = rate.perSecond / 1000;
    this.#tokens = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes `cost` tokens. Returns false, and takes nothing, if there are not enough. */
  take(cost: number, nowMs: number): boolean {
    if (nowMs > this.#atMs) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
      this.#atMs = nowMs;
    }
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }

  giveBack(tokens: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens);
  }
}

/** A budget that refills: `burst` at once, `perSecond` in the long run. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** No budget at all. */
const unlimited: Rate = { burst: Number.POSITIVE_INFINITY, perSecond: Number.POSITIVE_INFINITY };

/** Which of the rules for requests hold (validate-fields.ts). */
export interface RequestRules {
  /** Only POST to a gRPC path with a gRPC content type; off for servers that are not gRPC's. */
  readonly grpcOnly: boolean;
  /** The scheme a request must have; undefined: either. */
  readonly scheme: "http" | "https" | undefined;
  /** Refuse names with an underscore, for upstreams that fold it to a hyphen. */
  readonly refuseUnderscore: boolean;
}

/** What one connection may cost. Every default is safe on an open port. */
export interface EngineLimits {
  readonly concurrentStreamsMax: number;
  readonly headerListBytesMax: number;
  /**
   * A block whose fields count for this many times `headerListBytesMax` ends the connection; infinite: however many there
   * are, they are read on without being kept, and the stream's owner decides.
   */
  readonly headerFloodFactor: number;
  /** Of one block as it comes in CONTINUATION frames; 0, or less than four times `headerListBytesMax`: that. */
  readonly headerBlockBytesMax: number;
  /** Cookie crumbs and fields that are dropped count too. */
  readonly headerFieldsMax: number;
  /** Of less than 8 KiB; the others are bounded by what they bring. */
  readonly continuationFramesMax: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Of one gRPC message, as its prefix says. */
  readonly messageBytesMax: number;
  /** Output that waits for the socket; beyond it no DATA is written and reading should stop. */
  readonly outputBytesMax: number;
  /** Frames other than HEADERS and DATA that wait for the socket; beyond it reading should stop. */
  readonly controlFramesMax: number;
  readonly settingsEntriesMax: number;
  /**
   * Servers: streams that were reset soon. A stream that lived for 50 ms or more is charged nothing: calls that the limit of
   * open streams lets through at that pace are an honest load. A younger stream is charged the part of 50 ms that it did not
   * live: one reset at once 1, one reset after 25 ms 0.5.
   */
  readonly peerResets: Rate;
  /** Servers: streams that we reset for a fault that no honest peer commits. */
  readonly ownResets: Rate;
  readonly glitches: Rate;
  readonly settings: Rate;
  /** Beside one for each DATA frame that was sent: gRPC libraries measure the bandwidth with them. */
  readonly pings: Rate;
  readonly priorities: Rate;
  readonly emptyData: Rate;
  readonly emptyDataConsecutiveMax: number;
  /** Of one stream: each DATA frame under 256 bytes that completes no message is charged 256 minus its length. */
  readonly smallData: Rate;
  /** The same of all streams together. The stream whose frame is one too many ends, not the connection. */
  readonly smallDataTogether: Rate;
  /** WINDOW_UPDATEs, and resets of streams that are over: so many beside those that traffic accounts for. */
  readonly windowUpdatesSpare: number;
  /** Servers only: pings closer together than this are strikes unless there was traffic; 0: no strikes. */
  readonly pingIntervalMinMs: number;
  readonly pingStrikesMax: number;
  readonly prefaceTimeoutMs: number;
  readonly headerBlockTimeoutMs: number;
  readonly settingsAckTimeoutMs: number;
  /** A stream whose output has waited this long for the peer's window is cancelled. */
  readonly stallTimeoutMs: number;
  /** 0: no keepalive pings of our own. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Clients: after a stream was opened only so many are sent at that pace, then one every `patientKeepaliveMs`. */
  readonly keepalivesAtPaceMax: number;
  readonly patientKeepaliveMs: number;
  /** Pings are sent while no stream is open, too. */
  readonly keepaliveIdle: boolean;
  /** Between the two GOAWAYs of a shutdown, if the peer does not answer the PING. */
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

/** For what an application that is stuck does not say: as long as for what it does not take (`stallTimeoutMs`). */
export const applicationPatienceMs = 300_000;

/**
 * For the own application, in either role: it hurts nobody but itself, and ending its connection ends calls of others. What
 * it sends is answered as fast as it takes the answers. Streams that trickle end before they trouble the next proxy. A header
 * block that is far too long ends its call alone; beyond 4 MiB, what a decoder would have to hold of it ends the connection.
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
  // A process that is blocked, stopped or in a debugger is no dead one, and the end of one closes its socket.
  prefaceTimeoutMs: applicationPatienceMs,
  headerBlockTimeoutMs: applicationPatienceMs,
  settingsAckTimeoutMs: applicationPatienceMs,
  keepaliveMs: 0,
};

/** A budget that is spent and refills with time; starts full. */
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

  /** Takes `cost`; false: there is not enough, and nothing is taken. */
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

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Duplex } from "node:stream";
import { AshlarError } from "../../../core/errors.js";

/** Room for one call on a connection. Give it back exactly once. */
export interface UpstreamSlot {
  open(headers: OutgoingHttpHeaders): ClientHttp2Stream;
  release(): void;
}

export interface UpstreamSessionOptions {
  readonly streamsMax: number;
  readonly prefaceTimeoutMs: number;
  /** How often the other side is asked for a sign of life while calls are open. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /**
   * How many times it is asked at that pace after a call was opened; later only every `patientKeepaliveMs`. gRPC
   * servers end the connection of a client that asks more than twice within five minutes in which they sent nothing.
   */
  readonly keepalivesAtPaceMax: number;
  readonly patientKeepaliveMs: number;
}

export const upstreamSessionDefaults: UpstreamSessionOptions = {
  streamsMax: 1000,
  prefaceTimeoutMs: 5000,
  keepaliveMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  keepalivesAtPaceMax: 2,
  patientKeepaliveMs: 330_000,
};

const connectionWindowBytes = 1024 * 1024;
const sessionMemoryMegabytes = 128;

/** An HTTP/2 connection to an upstream that knows how many calls it may carry. */
export class UpstreamSession {
  readonly socket: Duplex;
  readonly #session: ClientHttp2Session;
  readonly #options: UpstreamSessionOptions;
  readonly #keepalive: NodeJS.Timeout;
  #outstanding = 0;
  #retiring = false;
  /** Since a call was opened: the intervals that passed, and whether an answer is awaited. */
  #intervals = 0;
  #awaitingPong = false;

  private constructor(socket: Duplex, session: ClientHttp2Session, options: UpstreamSessionOptions) {
    this.socket = socket;
    this.#session = session;
    this.#options = options;
    this.#keepalive = setInterval(() => this.#ping(), options.keepaliveMs).unref();
    session.on("close", () => clearInterval(this.#keepalive));
  }

  /**
   * Speaks HTTP/2 on a connected socket and waits for the other side's SETTINGS, so that its stream limit
   * is known before the first call. Fails with `unavailable`; the socket is closed then.
   */
  static open(socket: Duplex, options: UpstreamSessionOptions): Promise<UpstreamSession> {
    return new Promise((resolve, reject) => {
      const session = connectHttp2("http://upstream", {
        createConnection: () => socket,
        settings: { enablePush: false, initialWindowSize: 65_535, maxHeaderListSize: 16 * 1024 },
        maxSessionMemory: sessionMemoryMegabytes,
        peerMaxConcurrentStreams: 0x7fffffff, // the slots count; nghttp2 must not queue beside them
      });
      const fail = (why: string) => {
        clearTimeout(timer);
        reject(new AshlarError("unavailable", why));
        session.destroy();
      };
      const timer = setTimeout(() => fail("no HTTP/2 settings within the bound"), options.prefaceTimeoutMs);
      session.on("error", (error) => fail(error.message));
      session.once("close", () => fail("the connection was closed"));
      session.once("remoteSettings", () => {
        clearTimeout(timer);
        session.setLocalWindowSize(connectionWindowBytes);
        resolve(new UpstreamSession(socket, session, options));
      });
    });
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  get closed(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** It was dialled with an identity or trust that has been replaced. */
  get retiring(): boolean {
    return this.#retiring;
  }

  get full(): boolean {
    const remote = this.#session.remoteSettings?.maxConcurrentStreams ?? this.#options.streamsMax;
    return this.#outstanding >= Math.min(remote, this.#options.streamsMax);
  }

  onClose(listener: () => void): void {
    this.#session.once("close", listener);
  }

  /** Reserves room for a call. The caller has checked `closed` and `full`. */
  take(): UpstreamSlot {
    this.#outstanding += 1;
    let held = true;
    return {
      open: (headers) => {
        this.#intervals = 0;
        return this.#session.request(headers, { endStream: false });
      },
      release: () => {
        if (!held) return;
        held = false;
        this.#outstanding -= 1;
        if (this.#retiring && this.#outstanding === 0) this.#session.close();
      },
    };
  }

  /** No new calls are to go here once there is another connection; it closes when its last call has ended. */
  retire(): void {
    this.#retiring = true;
    if (this.#outstanding === 0) this.#session.close();
  }

  /** Closes at once; open calls end. */
  destroy(): void {
    this.#session.destroy();
  }

  /** Finds another side that is gone without a word, or whose framing broke, while calls wait for it. */
  #ping(): void {
    if (this.#outstanding === 0 || this.closed || this.#awaitingPong || !this.#isPingDue()) return;
    const timer = setTimeout(() => this.#session.destroy(), this.#options.keepaliveTimeoutMs).unref();
    const heard = (): void => {
      clearTimeout(timer);
      this.#awaitingPong = false;
    };
    this.#awaitingPong = true;
    try {
      if (!this.#session.ping(heard)) heard();
    } catch {
      heard(); // it closed meanwhile
    }
  }

  #isPingDue(): boolean {
    const { keepaliveMs, keepalivesAtPaceMax, patientKeepaliveMs } = this.#options;
    this.#intervals += 1;
    if (this.#intervals <= keepalivesAtPaceMax) return true;
    return (this.#intervals - keepalivesAtPaceMax) % Math.ceil(patientKeepaliveMs / keepaliveMs) === 0;
  }
}

/** Connects to an upstream: the application, or the proxy of a service. */
import { connect as connectNet, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, type SecureContextOptions, type TLSSocket } from "node:tls";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { AfterTime } from "../../runtime/lost-time.js";
import type { Svid } from "../../runtime/tls-identity.js";
import { applicationPatienceMs } from "../http2/limits.js";

const connectTimeoutMs = 5000;
/** Milliseconds before a retry if the backlog of the application's socket is full. */
const fullBacklogPauseMs = 200;

/**
 * Connects to the application's private socket. While a blocked application's backlog is full, it retries for up to
 * five minutes. Fails with `unavailable`.
 */
export async function dialApplication(address: SocketAddress): Promise<Socket> {
  const lastTryMs = performance.now() + applicationPatienceMs;
  for (;;) {
    try {
      return await connectOnce(address);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (!fullBacklogCodes.has(code) || performance.now() > lastTryMs) {
        throw new AshlarError("unavailable", `the application's socket: ${messageOf(cause)}`, { cause });
      }
      await sleep(fullBacklogPauseMs, undefined, { ref: false });
    }
  }
}

/**
 * The errors that a full backlog causes on Unix sockets and on loopback, in this order. Our own timer ends a connect
 * before the system does.
 */
const fullBacklogCodes: ReadonlySet<string | undefined> = new Set(["EAGAIN", "ETIMEDOUT"]);

function connectOnce(address: SocketAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectNet({ ...address, noDelay: true });
    const late = (): void => {
      socket.destroy(Object.assign(new Error("no answer within 5 s"), { code: "ETIMEDOUT" }));
    };
    const timer = setTimeout(late, connectTimeoutMs);
    socket.once("error", (cause) => {
      clearTimeout(timer);
      reject(cause);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.on("error", () => {}); // "close" reports its end
      resolve(socket);
    });
  });
}

/** Whether nobody listens at the application's socket. Other failures say nothing about the application itself. */
export function isApplicationGone(error: unknown): boolean {
  const cause = error instanceof AshlarError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === "ECONNREFUSED" || cause?.code === "ENOENT";
}

export interface PeerDial {
  readonly address: HostPort;
  /** The identity that the peer has to prove. */
  readonly expected: SpiffeId;
  /** This proxy's certificate and key, and the trusted roots. */
  readonly context: SecureContextOptions;
  /** Returns the identity that the peer proved. Fails with `invalid_identity`. */
  verify(socket: TLSSocket): Svid;
  readonly after: AfterTime;
}

/**
 * Connects to a peer proxy over mutual TLS and proves that it is `expected` before a byte of a call is sent. Fails with
 * `unavailable` if it cannot be reached, and with `invalid_identity` if it proves another identity.
 */
export function dialPeer({ address, expected, context, verify, after }: PeerDial): Promise<Socket> {
  const where = `${address.host}:${address.port}`;
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      ...context,
      host: address.host,
      port: address.port,
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined, // host names are not identities; the SVID is verified below
    });
    const fail = (error: unknown) => {
      inTime();
      socket.destroy();
      reject(
        error instanceof AshlarError
          ? error
          : new AshlarError("unavailable", `${where}: ${messageOf(error)}`, { cause: error }),
      );
    };
    const inTime = after(connectTimeoutMs, () => fail(new Error("no TLS handshake within 5 s")));
    socket.once("error", fail);
    const closed = () => fail(new Error("the connection was closed"));
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      try {
        if (socket.alpnProtocol !== "h2") throw new AshlarError("unavailable", `${where} does not speak h2`);
        const { spiffeId } = verify(socket);
        if (spiffeId !== expected) {
          throw new AshlarError("invalid_identity", `${where} is ${spiffeId}, not ${expected}`);
        }
      } catch (error) {
        return fail(error);
      }
      inTime();
      socket.off("error", fail);
      socket.off("close", closed);
      socket.setNoDelay(true);
      socket.on("error", () => {}); // "close" reports its end
      return resolve(socket);
    });
  });
}

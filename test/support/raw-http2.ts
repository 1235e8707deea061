/** A client that sends what it is told, well-formed or not (as far as node:http2 sends it). */
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectNet } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { ProxyIdentity } from "../../data-plane/ports.js";

export interface RawResult {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly rstCode: number;
}

export class RawClient {
  readonly session: ClientHttp2Session;

  constructor(socket: Duplex) {
    this.session = connect("http://raw", { createConnection: () => socket });
    this.session.on("error", () => {});
  }

  static unix(path: string): RawClient {
    return new RawClient(connectNet({ path }));
  }

  static mtls(address: string, identity: Partial<ProxyIdentity>, rootPem: string, alpn = "h2"): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const [host, port] = address.split(":");
      const socket = connectTls({
        host: host ?? "",
        port: Number(port),
        ca: rootPem,
        ALPNProtocols: [alpn],
        checkServerIdentity: () => undefined,
        ...(identity.privateKeyPem === undefined
          ? {}
          : { key: identity.privateKeyPem, cert: identity.certificateChainPem ?? "" }),
      });
      socket.once("error", reject);
      socket.once("secureConnect", () => resolve(new RawClient(socket)));
    });
  }

  send(headers: OutgoingHttpHeaders, body = Buffer.from([0, 0, 0, 0, 0])): Promise<RawResult> {
    return new Promise((resolve, reject) => {
      const stream = this.session.request({
        ":method": "POST",
        ":scheme": "https",
        ":path": "/test.Bytes/Unary",
        ":authority": "bytes",
        te: "trailers",
        "content-type": "application/grpc",
        ...headers,
      });
      let received = {};
      let trailers = {};
      stream.on("response", (fields) => {
        received = { ...fields };
      });
      stream.on("trailers", (fields) => {
        trailers = { ...fields };
      });
      stream.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "ERR_HTTP2_STREAM_ERROR") reject(error);
      });
      stream.on("close", () => resolve({ headers: received, trailers, rstCode: stream.rstCode ?? 0 }));
      stream.resume();
      if (!stream.writableEnded) stream.end(body); // GET has none
    });
  }

  /** The connection was closed before any response. */
  async isRefused(): Promise<boolean> {
    try {
      const { headers } = await this.send({});
      return Object.keys(headers).length === 0 && (this.session.destroyed || this.session.closed);
    } catch {
      return true;
    }
  }

  close(): void {
    this.session.destroy();
  }
}

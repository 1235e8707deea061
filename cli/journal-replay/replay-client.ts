/**
 * Sends writes to an application, through a proxy of the mesh or directly, with exactly the bytes that were journaled.
 */
import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { AshlarError, messageOf } from "../../core/errors.js";
import { parseSpiffeId } from "../../core/identity.js";
import { renderReplayed } from "../../core/journal/replayed.js";
import { headerNames } from "../../core/wire/headers.js";
import type { ReplayedWrite } from "../../proto/gen/ashlar/v1/admin.js";
import { parseSvid } from "../../runtime/tls-identity.js";
import type { AdminContext } from "../context.js";

/** Where writes are sent. */
export type ReplayAddress =
  /** A proxy, which must prove to be `identity`. */
  | { readonly kind: "proxy"; readonly address: string; readonly identity: string }
  /** An application that speaks gRPC over plain HTTP/2: "HOST:PORT", or "unix:PATH". */
  | { readonly kind: "application"; readonly address: string };

/** The answer of the target to a write. */
export interface Answer {
  readonly code: number;
  readonly message: string;
  /** The response's messages with gRPC's framing. */
  readonly response: Buffer;
  /** True if the proxy refused the call by its policy. */
  readonly isRefused: boolean;
}

const responseBytesMax = 16 * 1024 * 1024;
/** Headers that are not copied, because the transport or this client sets them. */
const notSent = new Set(["content-length", "connection", "te", "host", "grpc-timeout"]);

export class ReplayClient {
  readonly #where: ReplayAddress;
  readonly #context: AdminContext;
  readonly #service: string;
  readonly #timeoutMs: number;
  #session: ClientHttp2Session | undefined;

  constructor(where: ReplayAddress, context: AdminContext, service: string, timeoutMs: number) {
    this.#where = where;
    this.#context = context;
    this.#service = service;
    this.#timeoutMs = timeoutMs;
  }

  /** Sends the write once. Fails with `unavailable` if its outcome is not known. */
  send(write: ReplayedWrite): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void =>
        reject(new AshlarError("unavailable", `${this.#where.address}: ${messageOf(cause)}`, { cause }));
      const stream = this.#connected().request(this.#headersOf(write));
      const parts: Buffer[] = [];
      let bytes = 0;
      let head: IncomingHttpHeaders = {};
      let trailers: IncomingHttpHeaders = {};
      stream.setTimeout(this.#timeoutMs, () => stream.close(constants.NGHTTP2_CANCEL));
      stream.on("response", (fields) => {
        head = fields;
      });
      stream.on("trailers", (fields) => {
        trailers = fields;
      });
      stream.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes <= responseBytesMax) parts.push(part);
        else stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.on("error", fail);
      stream.on("close", () => {
        const all = { ...head, ...trailers };
        const code = all["grpc-status"];
        if (typeof code !== "string") return fail(new Error("the call ended without a status"));
        const message = decodeURIComponent(String(all["grpc-message"] ?? ""));
        const isRefused = all[headerNames.decision] !== undefined;
        return resolve({ code: Number(code), message, response: Buffer.concat(parts), isRefused });
      });
      stream.end(write.request);
    });
  }

  close(): void {
    this.#session?.destroy();
  }

  #headersOf(write: ReplayedWrite): Record<string, string | string[]> {
    const headers: Record<string, string | string[]> = {
      ":method": "POST",
      ":path": `/${write.method}`,
      ":authority": this.#service,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": `${this.#timeoutMs}m`,
    };
    for (const { name, value } of write.fields) {
      if (notSent.has(name) || name.startsWith("ashlar-")) continue;
      const text = value.toString("latin1");
      const before = headers[name];
      headers[name] = before === undefined || name === "content-type" ? text : [before, text].flat();
    }
    const { sequence, key } = write;
    const caller = parseSpiffeId(write.caller);
    if (this.#where.kind === "proxy")
      return { ...headers, [headerNames.replay]: renderReplayed({ sequence, caller, key }) };
    const own = { [headerNames.replay]: "1", [headerNames.caller]: caller, [headerNames.sequence]: String(sequence) };
    return { ...headers, ...own, ...(/^[\x20-\x7e]+$/.test(key) && { [headerNames.key]: key }) };
  }

  #connected(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = this.#connect();
    session.on("error", () => {}); // each call reports the error
    this.#session = session;
    return session;
  }

  #connect(): ClientHttp2Session {
    const { address, kind } = this.#where;
    if (kind === "application") {
      if (!address.startsWith("unix:")) return connectHttp2(`http://${address}`);
      return connectHttp2("http://localhost", { createConnection: () => connectSocket(address.slice("unix:".length)) });
    }
    const { identity } = this.#where;
    const { ca, certificate: cert, key } = this.#context;
    return connectHttp2(`https://${address}`, {
      ...{ ca, cert, key },
      minVersion: "TLSv1.2",
      checkServerIdentity: (_host, { raw }) => {
        const { spiffeId } = parseSvid(raw);
        return spiffeId === identity ? undefined : new Error(`it is ${spiffeId}, not ${identity}`);
      },
    });
  }
}

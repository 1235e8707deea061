/** A client of a gateway's listener that sends bytes of HTTP/1.1 over TLS, whatever they are. */
import type { Arena } from "./check.js";
import { handshake, openTls } from "./mesh.js";

export interface Answered {
  /** The status of each answer, in their order. */
  readonly statuses: readonly number[];
  /** The gateway closed the connection, within the time. */
  readonly closed: boolean;
  /** All that came, as Latin-1. */
  readonly text: string;
}

export interface Http1Options {
  /** The one that is attacked, unless told. */
  readonly listener?: string;
  /** The host that the handshake asks for; left out: none. */
  readonly servername?: string;
}

const waitMsMax = 8000;
const statusLine = /HTTP\/1\.1 (\d{3}) /g;

/** Sends `text` as Latin-1 and reads until the connection is closed. Fails if there is no handshake. */
export async function askHttp1(arena: Arena, text: string, options: Http1Options = {}): Promise<Answered> {
  const { listener, servername } = options;
  const at = listener === undefined ? arena.attacked.inbound : arena.attacked.listener(listener);
  const tls = { alpn: ["http/1.1"], ...(servername !== undefined && { servername }) };
  const socket = await handshake(openTls(arena.mesh, at, undefined, tls));
  let heard = "";
  socket.on("data", (part: Buffer) => {
    heard += part.toString("latin1");
  });
  socket.on("error", () => {}); // a connection that ends while we still send
  const closed = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), waitMsMax);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
    socket.write(text, "latin1");
  });
  socket.destroy();
  return { statuses: [...heard.matchAll(statusLine)].map(([, status]) => Number(status)), closed, text: heard };
}

/** The part of an answer behind its head, without the lines of its chunks. */
export function bodyOf({ text }: Answered): string {
  const at = text.indexOf("\r\n\r\n") + 4;
  if (!/^transfer-encoding: chunked/im.test(text.slice(0, at))) return text.slice(at);
  let body = "";
  for (let next = at; next < text.length; ) {
    const [line = "", size = "0"] = /^([0-9a-f]+)\r\n/i.exec(text.slice(next)) ?? [];
    const [start, length] = [next + line.length, Number.parseInt(size, 16)];
    if (length === 0) break;
    body += text.slice(start, start + length);
    next = start + length + 2;
  }
  return body;
}

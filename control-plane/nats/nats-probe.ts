import { connect, createServer, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import { AshlarError } from "../../core/errors.js";
import { listenOn } from "../../runtime/listen.js";

const greetingBytesMax = 64 * 1024;

/**
 * Returns the name in the INFO line with which a NATS server greets, or undefined if nothing answers within a second.
 * If the server asks for TLS, the handshake is completed, because a server logs an error for each one that is not.
 */
export function readServerName(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: host === "0.0.0.0" ? "127.0.0.1" : host, port });
    let [text, name]: [string, string | undefined] = ["", undefined];
    const finish = (): void => {
      socket.destroy();
      resolve(name);
    };
    const read = (bytes: Buffer): void => {
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n");
      if (end < 0 && text.length <= greetingBytesMax) return;
      socket.off("data", read);
      const greeting = text.slice(0, Math.max(0, end));
      name = /^INFO .*"server_name":"([^"]*)"/.exec(greeting)?.[1];
      if (name === undefined || !greeting.includes('"tls_required":true')) {
        finish();
        return;
      }
      // nothing is sent to the server, so it need not be verified
      const servername = isIP(host) === 0 ? host : "";
      const tls = connectTls({ socket, servername, rejectUnauthorized: false }, () => tls.end());
      tls.on("error", finish).on("close", finish);
    };
    socket.setTimeout(1000, finish);
    socket.on("error", finish).on("close", finish).on("data", read);
  });
}

/** Returns the port if it can be listened on now (with 0: a free one), else undefined. */
async function tryPort(host: string, port: number): Promise<number | undefined> {
  const server = createServer();
  const bound = await listenOn(server, { host, port }).catch(() => undefined);
  if (bound !== undefined) await new Promise((resolve) => server.close(resolve));
  return bound?.port;
}

/**
 * Returns the port to listen on: `wanted` (fails with `unavailable` if it is taken), otherwise `last` if it is free,
 * otherwise a free one.
 */
export async function choosePort(host: string, wanted: number | undefined, last: number | undefined): Promise<number> {
  if (wanted !== undefined && wanted !== 0) {
    if ((await tryPort(host, wanted)) === wanted) return wanted;
    throw new AshlarError("unavailable", `${host}:${wanted} is taken: nats-server cannot listen there`);
  }
  const port = (last === undefined ? undefined : await tryPort(host, last)) ?? (await tryPort(host, 0));
  if (port === undefined) throw new AshlarError("unavailable", `no free port on ${host} for nats-server`);
  return port;
}

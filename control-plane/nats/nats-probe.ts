import { connect, createServer } from "node:net";
import { AshlarError } from "../../core/errors.js";
import { listenOn } from "../../runtime/listen.js";

/** The name in the INFO line with which a NATS server greets; undefined if nothing answers within a second. */
export function readServerName(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: host === "0.0.0.0" ? "127.0.0.1" : host, port });
    let text = "";
    const finish = (name: string | undefined): void => {
      socket.destroy();
      resolve(name);
    };
    socket.setTimeout(1000, () => finish(undefined));
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n");
      if (end >= 0) finish(/^INFO .*"server_name":"([^"]*)"/.exec(text.slice(0, end))?.[1]);
      else if (text.length > 64 * 1024) finish(undefined);
    });
  });
}

/** Returns the port if it can be listened on now (with 0: a free one), else undefined. */
async function tryPort(host: string, port: number): Promise<number | undefined> {
  const server = createServer();
  const bound = await listenOn(server, { host, port }).catch(() => undefined);
  if (bound !== undefined) await new Promise((resolve) => server.close(resolve));
  return bound?.port;
}

/** The port to listen on: `wanted` (fails with `unavailable` if it is taken), else `last` if it is free, else a free one. */
export async function choosePort(host: string, wanted: number | undefined, last: number | undefined): Promise<number> {
  if (wanted !== undefined && wanted !== 0) {
    if ((await tryPort(host, wanted)) === wanted) return wanted;
    throw new AshlarError("unavailable", `${host}:${wanted} is taken: nats-server cannot listen there`);
  }
  const port = (last === undefined ? undefined : await tryPort(host, last)) ?? (await tryPort(host, 0));
  if (port === undefined) throw new AshlarError("unavailable", `no free port on ${host} for nats-server`);
  return port;
}

/**
 * Measures what clients of a listener experience: calls at a pace on one connection, and new connections with one call
 * each.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { messageOf } from "../echo-server/message.js";

export interface Seen {
  /** The duration of each answered call, in milliseconds. */
  readonly calls: number[];
  readonly connections: number[];
  failed: number;
}

const callEveryMs = 20;
const connectEveryMs = 200;
const boundMs = 5000;
const body = messageOf(32, true);

function open(port: number, ca: string): ClientHttp2Session {
  const session = connect(`https://localhost:${port}`, { ca, servername: "localhost" });
  session.on("error", () => {});
  return session;
}

/** Returns whether a call was answered with status 0 within the bound. */
function call(session: ClientHttp2Session): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), boundMs);
    const done = (isGood: boolean): void => {
      clearTimeout(late);
      resolve(isGood);
    };
    session.once("close", () => done(false));
    const stream = session.request({
      ...{ ":method": "POST", ":path": "/bench.Echo/Call", te: "trailers", "content-type": "application/grpc" },
    });
    const take = (fields: object): void => {
      const code = (fields as Record<string, unknown>)["grpc-status"];
      if (code !== undefined) done(code === "0");
    };
    stream.on("response", take).on("trailers", take).resume();
    stream.on("error", () => done(false));
    stream.end(body);
  });
}

/** Probes a listener for some seconds. */
export async function probe(port: number, ca: string, seconds: number): Promise<Seen> {
  const seen: Seen = { calls: [], connections: [], failed: 0 };
  const pending: Promise<void>[] = [];
  const timed = async (took: number[], work: () => Promise<boolean>): Promise<void> => {
    const from = performance.now();
    if (await work()) took.push(performance.now() - from);
    else seen.failed += 1;
  };
  const session = open(port, ca);
  session.setMaxListeners(0);
  const connectOnce = async (): Promise<boolean> => {
    const fresh = open(port, ca);
    const isGood = await call(fresh);
    fresh.destroy();
    return isGood;
  };
  const calls = setInterval(() => pending.push(timed(seen.calls, () => call(session))), callEveryMs);
  const connections = setInterval(() => pending.push(timed(seen.connections, connectOnce)), connectEveryMs);
  await new Promise((wait) => setTimeout(wait, seconds * 1000));
  clearInterval(calls);
  clearInterval(connections);
  await Promise.all(pending);
  session.destroy();
  return seen;
}

import { createServer } from "node:net";

/**
 * The first port. It is below the range from which Linux takes ports for connections, since one of those may be gone
 * before it is used.
 */
const firstPort = 10_000;
const portsOfWorker = 3600;
/** The most workers that `npm test` has, and the conformance checks beside them. */
const workers = 6;
const own = firstPort + portsOfWorker * (Number(process.env.JEST_WORKER_ID ?? 0) % workers);
let next = Math.floor(Math.random() * portsOfWorker);

/**
 * Returns different ports of the loopback address on which nobody listens. Test files that run at the same time get
 * different ports, since each jest worker has its own range.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > portsOfWorker) throw new Error(`no ${count} ports are free from ${own} on`);
    const port = own + next;
    next = (next + 1) % portsOfWorker;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Returns one such port. */
export async function freePort(): Promise<number> {
  return (await freePorts(1))[0] as number;
}

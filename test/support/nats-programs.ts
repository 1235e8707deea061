/** The nats-servers that tests run on: the one on the PATH, and a newest one if there is one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./processes.js";

export interface NatsProgram {
  readonly name: string;
  readonly program: string;
}

const built = join(repository, ".ashlar/bin/nats-server"); // scripts/setup.mjs builds it if Go is installed
const newest = process.env.NATS_SERVER_NEWEST ?? (existsSync(built) ? built : undefined);

export const natsPrograms: readonly NatsProgram[] = [
  { name: "the nats-server on the PATH", program: "nats-server" },
  ...(newest === undefined ? [] : [{ name: "the newest nats-server", program: newest }]),
];

/** The nats-server that is installed here: where it is, and what it says about a configuration. */
import { execFile } from "node:child_process";
import { AshlarError, messageOf } from "../../core/errors.js";

export interface NatsProgram {
  /** The program to spawn: a name on the PATH, or an absolute path. */
  readonly program: string;
  /** "nats-server: v2.15.3" */
  readonly version: string;
}

const name = "nats-server";
/** Folders where packages install nats-server. The PATH of an ordinary user often lacks the sbin folders. */
export const programFolders = [
  "/usr/local/bin",
  "/usr/local/sbin",
  "/usr/bin",
  "/usr/sbin",
  "/opt/homebrew/bin",
  "/opt/local/bin",
];

/**
 * Finds `given`, or the program on the PATH, or where packages install it. Fails with `unavailable` and says what to
 * install.
 */
export async function findNatsProgram(
  given?: string,
  places: readonly string[] = programFolders,
): Promise<NatsProgram> {
  if (given !== undefined) {
    const version = await versionOf(given);
    if (version === undefined) throw notThere(`there is no ${given}`);
    return { program: given, version };
  }
  for (const program of [name, ...places.map((folder) => `${folder}/${name}`)]) {
    const version = await versionOf(program);
    if (version !== undefined) return { program, version };
  }
  throw notThere(`nats-server is neither on the PATH nor in ${places.join(", ")}`);
}

const notThere = (what: string, cause?: unknown): AshlarError =>
  new AshlarError(
    "unavailable",
    `${what}: install it (Debian, Ubuntu: apt-get install nats-server; macOS: brew install nats-server) or use --nats URL`,
    { cause },
  );

/** Returns undefined if there is none. */
function versionOf(program: string): Promise<string | undefined> {
  return new Promise((done, fail) => {
    execFile(program, ["--version"], { timeout: 10_000 }, (error, stdout) => {
      if (error === null) return done(stdout.trim());
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return done(undefined);
      fail(notThere(`${program} does not run (${messageOf(error)})`, error));
    });
  });
}

/** Returns the server's error about a configuration, or undefined if it accepts it. */
export function testConfig(program: string, file: string): Promise<string | undefined> {
  return new Promise((done) => {
    execFile(program, ["-t", "-c", file], { timeout: 10_000 }, (error, _stdout, stderr) => {
      done(error === null ? undefined : stderr.trim().split("\n").at(-1) || messageOf(error));
    });
  });
}

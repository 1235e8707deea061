/** `ashlar proxy`: stands beside a service, proves who it is, and judges every call. */
import { realpathSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import type { ConfigSources } from "../runtime/config.js";
import { readConfigFile } from "../runtime/config-file.js";
import { fileReason } from "../runtime/file-reason.js";
import { makeFolder, releaseFolder, takeFolder } from "../runtime/folder-lock.js";
import { createLogger } from "../runtime/log.js";
import { liveUntilStopped } from "../runtime/process-life.js";
import { renderError } from "../runtime/say-error.js";
import { releaseYoungSpace } from "../runtime/young-space.js";
import { startProxy } from "./app.js";
import { createProxyCommand } from "./command.js";
import { parseProxyConfig } from "./config.js";
import { forkWorker } from "./workers/worker-process.js";

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export async function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  let flags: Record<string, unknown> | undefined;
  try {
    await createProxyCommand((given) => {
      flags = given;
    }).parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  if (flags === undefined) return 0;
  try {
    return await run(flags, env);
  } catch (error) {
    printError(isAshlarError(error) ? error.message : messageOf(error));
    return isAshlarError(error, "invalid_argument") ? 2 : 1;
  }
}

async function run(flags: Record<string, unknown>, env: ConfigSources["env"]): Promise<number> {
  const file = await readConfigFile({ flags, env });
  const config = parseProxyConfig({ flags, env, file }, process.cwd());
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const log = createLogger({ level: config.logLevel, name: `proxy ${config.service}`, format });
  const removeEmpty = await takeData(config.dataDir);
  try {
    return await liveUntilStopped(log, { service: config.service }, async (signal) => {
      const readStdin = (): Promise<string> => text(process.stdin);
      const surroundings = { log, logFormat: format, spawnWorker: forkWorker, readStdin };
      const proxy = await startProxy(config, surroundings, signal);
      if (proxy === undefined) return; // asked to stop before it had joined
      releaseYoungSpace();
      process.stdout.write(`ready ${proxy.listening}\n`);
      await proxy.stopped;
    });
  } finally {
    releaseFolder(config.dataDir);
    removeEmpty();
  }
}

/**
 * Locks the data folder. A second proxy on it is refused, because both would overwrite each other's endpoint. Returns a
 * function that removes the created folders if they are empty.
 */
async function takeData(path: string): Promise<() => void> {
  try {
    const removeEmpty = makeFolder(path);
    await takeFolder(path, "a proxy");
    return removeEmpty;
  } catch (error) {
    if (isAshlarError(error)) throw error;
    throw new AshlarError("unavailable", `cannot use the data folder ${path}: ${fileReason(error)}`, { cause: error });
  }
}

function printError(message: string): void {
  process.stderr.write(renderError(message));
}

function isMain(): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

if (isMain()) {
  process.exit(await main(process.argv.slice(2), process.env));
}

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
import { type ProxyConfig, parseProxyConfig } from "./config.js";
import { Predecessor } from "./takeover/predecessor.js";
import { forkWorker } from "./workers/worker-process.js";

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  return runMain(argv, env, createProxyCommand, parseProxyConfig);
}

/** Runs the process of a proxy or a gateway, by its command line. */
export async function runMain(
  argv: readonly string[],
  env: ConfigSources["env"],
  createCommand: typeof createProxyCommand,
  parseConfig: typeof parseProxyConfig,
): Promise<number> {
  let flags: Record<string, unknown> | undefined;
  try {
    await createCommand((given) => {
      flags = given;
    }).parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  if (flags === undefined) return 0;
  try {
    const file = await readConfigFile({ flags, env });
    return await run(parseConfig({ flags, env, file }, process.cwd()));
  } catch (error) {
    printError(isAshlarError(error) ? error.message : messageOf(error));
    return isAshlarError(error, "invalid_argument") ? 2 : 1;
  }
}

async function run(config: ProxyConfig): Promise<number> {
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const log = createLogger({
    level: config.logLevel,
    name: config.edge === undefined ? `proxy ${config.service}` : config.service,
    format,
  });
  const { removeEmpty, predecessor } = await takeData(config);
  try {
    return await liveUntilStopped(log, { service: config.service }, async (signal) => {
      const readStdin = (): Promise<string> => text(process.stdin);
      const surroundings = { log, logFormat: format, spawnWorker: forkWorker, readStdin, predecessor };
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

interface TakenData {
  /** Removes the folders that were created if they are empty. */
  readonly removeEmpty: () => void;
  readonly predecessor?: Predecessor | undefined;
}

/**
 * Locks the data folder, or has the process that runs on it hold still: it hands over once this one serves. Fails with
 * `exists` if that one hands nothing over.
 */
async function takeData({ dataDir: path, edge, service }: ProxyConfig): Promise<TakenData> {
  try {
    const removeEmpty = makeFolder(path);
    try {
      await takeFolder(path, edge === undefined ? "a proxy" : "a gateway");
      return { removeEmpty };
    } catch (error) {
      if (!isAshlarError(error, "exists")) throw error;
      const predecessor = await Predecessor.hold(path, service);
      if (predecessor === undefined) throw error;
      return { removeEmpty, predecessor };
    }
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

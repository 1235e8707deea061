/** `ashlar up`: starts a control plane and, unless it is given a cluster, its NATS. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { CommanderError } from "commander";
import { isAshlarError, messageOf } from "../core/errors.js";
import type { ConfigSources } from "../runtime/config.js";
import { readConfigFile } from "../runtime/config-file.js";
import { endLoading } from "../runtime/loading-flags.js";
import { createLogger } from "../runtime/log.js";
import { liveUntilStopped } from "../runtime/process-life.js";
import { renderError } from "../runtime/say-error.js";
import { startControlPlane } from "./app.js";
import { createUpCommand } from "./command.js";
import { parseUpConfig } from "./config.js";
import { defaultContextPath, linkDefaultContext } from "./default-context.js";

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export async function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  let flags: Record<string, unknown> = {};
  try {
    await createUpCommand((given) => {
      flags = given;
    }).parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  if (argv.some((word) => word === "--help" || word === "-h")) return 0;
  try {
    return await run(flags, env);
  } catch (error) {
    printError(isAshlarError(error) ? error.message : messageOf(error));
    return isAshlarError(error, "invalid_argument") ? 2 : 1;
  }
}

async function run(flags: Record<string, unknown>, env: ConfigSources["env"]): Promise<number> {
  const file = await readConfigFile({ flags, env });
  const config = parseUpConfig({ flags, env, file }, process.cwd());
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const log = createLogger({ level: config.logLevel, name: "control-plane", format });
  setLogVerbosity(logVerbosity.NONE); // the listeners report a taken port themselves
  return liveUntilStopped(log, {}, async (signal) => {
    const controlPlane = await startControlPlane(config, log, signal);
    if (controlPlane === undefined) return; // told to stop while it was waiting for NATS
    endLoading();
    process.stdout.write("ready\n");
    process.stdout.write(`${describeContext(config.dataDir, env)}\n`);
    await controlPlane.stopped;
  });
}

/** Says where the operator's context is, and whether commands use it by default. */
function describeContext(dataDir: string, env: ConfigSources["env"]): string {
  const context = join(dataDir, "admin.json");
  const path = defaultContextPath(env);
  if (path !== undefined && linkDefaultContext(path, context)) return `context ${context}, used by default`;
  return `context ${context}: give it with --context or ASHLAR_CONTEXT`;
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

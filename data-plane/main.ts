/** `ashlar proxy`: stands beside a service, proves who it is, and judges every call. */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { isAshlarError, messageOf } from "../core/errors.js";
import type { ConfigSources } from "../runtime/config.js";
import { readConfigFile } from "../runtime/config-file.js";
import { createLogger } from "../runtime/log.js";
import { liveUntilStopped } from "../runtime/process-life.js";
import { renderError } from "../runtime/say-error.js";
import { createProxyCommand } from "./command.js";
import { controlCommands, runControl } from "./host/command.js";
import { type HostConfig, parseHostConfig } from "./host/host-config.js";
import { runHost } from "./host/run-host.js";

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  const [first = ""] = argv;
  if (controlCommands.has(first)) return runControl(argv);
  if (first !== "" && !first.startsWith("-")) {
    printError(
      `unknown command '${first}': expected ${[...controlCommands].join(", ")}, or settings; see \`ashlar proxy --help\``,
    );
    return Promise.resolve(2);
  }
  return runMain(argv, env, createProxyCommand, parseHostConfig);
}

/** Runs the process of a proxy or a gateway, by its command line. */
export async function runMain(
  argv: readonly string[],
  env: ConfigSources["env"],
  createCommand: typeof createProxyCommand,
  parseConfig: typeof parseHostConfig,
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

async function run(config: HostConfig): Promise<number> {
  const { primary, logLevel: level } = config;
  const format = config.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const service = primary?.service ?? "several";
  const log = createLogger({ level, name: primary?.edge === undefined ? `proxy ${service}` : service, format });
  const about = primary === undefined ? {} : { service };
  return liveUntilStopped(log, about, (signal) => runHost(config, format, log, signal));
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

/** `ashlar up`: starts a control plane and, unless told of a cluster, its NATS. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { Command, CommanderError } from "commander";
import { isAshlarError, messageOf } from "../core/errors.js";
import type { ConfigSources } from "../runtime/config.js";
import { readConfigFile } from "../runtime/config-file.js";
import { createLogger } from "../runtime/log.js";
import { renderError, renderUsageError } from "../runtime/say-error.js";
import { releaseYoungSpace } from "../runtime/young-space.js";
import { startControlPlane } from "./app.js";
import { parseUpConfig } from "./config.js";
import { defaultContextPath, linkDefaultContext } from "./default-context.js";

const examples = `
Examples:
  ashlar up                                              a mesh on this machine, data in the user's state folder
  ashlar up --data ./mesh --mesh shop --listen 127.0.0.1:7420
  ashlar up --nats nats://nats.internal:4222 --nats-account account.json
  ashlar up --data ./second --join mesh/join.json --token second.token`;

function createCommand(act: (flags: Record<string, unknown>) => void): Command {
  return new Command("ashlar up")
    .description("Starts a control plane, and NATS beside it unless --nats is given. Prints `ready` when it serves.")
    .option("--data <DIR>", "its folder: keys, logs, addresses (default: the user's state folder)")
    .option("--listen <HOST:PORT>", "the admin API (default: 127.0.0.1:7420, or a free port if that is taken)")
    .option("--join-listen <HOST:PORT>", "joining and renewal (default: beside the admin API)")
    .option("--console <HOST:PORT>", "the console (not supported yet)")
    .option("--mesh <NAME>", "the mesh's name and trust domain (default: the folder's, or \"mesh\")")
    .option("--nats <URL>", "a NATS cluster of yours")
    .option(
      "--nats-account <FILE>",
      "its accounts, of control planes and of proxies: see `ashlar nats setup` and docs/nats.md",
    )
    .option("--join <FILE>", "join an existing mesh as one more control plane: join.json of the one that began it")
    .option("--token <FILE>", "the token for it, from `ashlar token --control-plane NAME`")
    .option("--approvals <N>", "how many operators beside its author have to approve a revision (default: 0)")
    .option(
      "--operator <NAME>",
      "a further operator: its context is DIR/operator-NAME.json; may be given again",
      (name: string, before: string[] | undefined) => [...(before ?? []), name],
    )
    .option("--decisions-age <DURATION>", "how long recorded decisions are kept, in a new mesh (default: 24h)")
    .option("--decisions-bytes <N>", "how many bytes of them are kept, in a new mesh (default: 536870912)")
    .option(
      "--unsigned-for <DURATION>",
      "after an update: how long proxies of the version before, which sign nothing, are believed (default: 7d)",
    )
    .option("--log-level <LEVEL>", "debug, info, warn, error or silent (default: info)")
    .option("--log-format <FORMAT>", "text or json (default: text on a terminal, else json)")
    .option("--config <FILE>", "YAML or JSON with any of these settings")
    .addHelpText("after", examples)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(renderUsageError(text)) })
    .action((flags: Record<string, unknown>) => act(flags));
}

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export async function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  let flags: Record<string, unknown> = {};
  try {
    await createCommand((given) => {
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
  setLogVerbosity(logVerbosity.NONE); // what it would say about a taken port is said by the listeners
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(1); // asked twice: do not wait for a clean end
    stop.abort();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  let failed = false;
  const onFault = (error: unknown) => {
    printError(`internal fault, stopping: ${messageOf(error)}`);
    failed = true;
    stop.abort();
  };
  process.on("uncaughtException", onFault);
  process.on("unhandledRejection", onFault);
  try {
    const controlPlane = await startControlPlane(config, log, stop.signal);
    if (controlPlane === undefined) return 0; // asked to stop while it was waiting for NATS
    releaseYoungSpace();
    process.stdout.write("ready\n");
    process.stdout.write(`${describeContext(config.dataDir, { flags, env, file })}\n`);
    await controlPlane.stopped;
    return failed ? 1 : 0;
  } finally {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
    process.off("uncaughtException", onFault);
    process.off("unhandledRejection", onFault);
  }
}

/** Where the operator's context is. A start with the default data folder makes it the one that commands use. */
function describeContext(dataDir: string, { flags, env, file }: ConfigSources): string {
  const context = join(dataDir, "admin.json");
  const isDefault = (flags.data ?? env.ASHLAR_DATA ?? file.data) === undefined;
  const path = isDefault ? defaultContextPath(env) : undefined;
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

/** `ashlar proxy`: stands beside a service, proves who it is, and judges every call. */
import { realpathSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import type { ConfigSources } from "../runtime/config.js";
import { readConfigFile } from "../runtime/config-file.js";
import { makeFolder, releaseFolder, takeFolder } from "../runtime/folder-lock.js";
import { createLogger } from "../runtime/log.js";
import { renderError, renderUsageError } from "../runtime/say-error.js";
import { releaseYoungSpace } from "../runtime/young-space.js";
import { startProxy } from "./app.js";
import { parseProxyConfig } from "./config.js";
import { forkWorker } from "./workers/worker-process.js";

const examples = `
Without --app and --agent the proxy only carries a client's outbound calls.

Examples:
  ashlar proxy --service payments --token payments.token --join mesh/join.json --inbound 127.0.0.1:7500 --app unix:/run/payments/app.sock
  ashlar proxy --service checkout --token - --join mesh/join.json --inbound 127.0.0.1:7501 --agent unix:/run/checkout/agent.sock
  ashlar proxy --service cron --token cron.token --join mesh/join.json --upstream payments=127.0.0.1:9001`;

const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function createCommand(act: (flags: Record<string, unknown>) => void): Command {
  return new Command("ashlar proxy")
    .description("Runs a proxy beside a service. Prints `ready` when it has joined and listens.")
    .option("--service <NAME>", "the service it stands for")
    .option("--token <FILE>", "a join token, - for stdin; not needed once an identity is stored")
    .option("--join <FILE>", "the control plane's join.json")
    .option("--app <ADDRESS>", "the application, gRPC over plain HTTP/2: unix:PATH or HOST:PORT (loopback)")
    .option("--agent [ADDRESS]", "where the SDK registers the application: unix:PATH (default: in --data)")
    .option("--inbound <HOST:PORT>", "where other proxies call, over mutual TLS")
    .option("--advertise <HOST:PORT>", "what other proxies dial (default: the inbound address)")
    .option("--outbound <ADDRESS>", "where the application calls: unix:PATH or HOST:PORT (default: a socket in --data)")
    .option("--upstream <NAME=ADDRESS>", "whatever arrives there goes to NAME; may be repeated", gather)
    .option("--label <KEY=VALUE>", "a label of this instance; may be repeated", gather)
    .option("--status <HOST:PORT>", "serves /healthz, /readyz and /metrics")
    .option("--data <DIR>", "its folder: identity and last good state (default: the user's state folder)")
    .option("--grace <DURATION>", "how long open calls may take when it stops (default: 10s)")
    .option("--buffer-mib <N>", "memory for what peers have not taken yet, all connections together (default: 256)")
    .option("--message-mib <N>", "the longest gRPC message that passes (default: 64)")
    .option("--header-kib <N>", "headers of a request, headers or trailers of an answer: 8 to 1024 KiB (default: 64)")
    .option(
      "--keepalive <DURATION>",
      "silence after which another proxy is pinged, 0: never (default: 20s, callers 30s)",
    )
    .option("--workers <N>", "processes that carry calls, 1 to 64 (default: 1)")
    .option("--record-share <SHARE>", "of decisions other than refusals, what is recorded: 0 to 1 (default: 0.01)")
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
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(1); // asked twice: do not wait for a clean end
    stop.abort();
  };
  let failed = false;
  const onFault = (error: unknown): void => {
    printError(`internal fault, stopping: ${messageOf(error)}`);
    failed = true;
    stop.abort();
  };
  const removeEmpty = await takeData(config.dataDir);
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  process.on("uncaughtException", onFault).on("unhandledRejection", onFault);
  try {
    const readStdin = (): Promise<string> => text(process.stdin);
    const surroundings = { log, logFormat: format, spawnWorker: forkWorker, readStdin };
    const proxy = await startProxy(config, surroundings, stop.signal);
    if (proxy === undefined) return 0; // asked to stop before it had joined
    releaseYoungSpace();
    process.stdout.write(`ready ${proxy.listening}\n`);
    await proxy.stopped;
    return failed ? 1 : 0;
  } finally {
    releaseFolder(config.dataDir);
    removeEmpty();
    process.off("SIGTERM", onSignal).off("SIGINT", onSignal);
    process.off("uncaughtException", onFault).off("unhandledRejection", onFault);
  }
}

/** Two proxies with one identity would take each other's endpoint away: the second is refused. Gives `makeFolder`'s. */
async function takeData(path: string): Promise<() => void> {
  try {
    const removeEmpty = makeFolder(path);
    await takeFolder(path, "a proxy");
    return removeEmpty;
  } catch (error) {
    if (isAshlarError(error)) throw error;
    throw new AshlarError("unavailable", `cannot use the data folder ${path}: ${messageOf(error)}`, { cause: error });
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

/** `ashlar proxy add`, `remove` and `list`: their options and their output. */
import { isAbsolute, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { Command, CommanderError } from "commander";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { renderError, renderUsageError } from "../../runtime/say-error.js";
import { gather } from "../command.js";
import { readToken } from "../join-file.js";
import { askProxy } from "./control-client.js";
import type { ControlRequest, ListedProxy } from "./control-messages.js";
import type { ServiceSettings, SettingValue } from "./service-settings.js";

/** The subcommands of `ashlar proxy` that ask a running proxy for something. */
export const controlCommands: ReadonlySet<string> = new Set(["add", "remove", "list"]);

const addExamples = `
The service has an identity, a certificate, connections and limits of its own; what it knows is kept in DATA/services/NAME,
and it is there again when the proxy is started anew. Settings that are not given are those of the proxy.

Examples:
  ashlar proxy add --data ./proxies --service ledger --token ledger.token --inbound 127.0.0.1:7502 --app unix:/run/ledger/app.sock
  ashlar proxy add --data ./proxies --service cron --token - --upstream payments=127.0.0.1:9001`;

/** Runs one of them. Returns the exit code. */
export async function runControl(argv: readonly string[]): Promise<number> {
  try {
    await createControlProgram().parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(renderError(isAshlarError(error) ? error.message : messageOf(error)));
    if (isAshlarError(error, "invalid_argument")) return 2;
    return isAshlarError(error, "unavailable") ? 3 : 1;
  }
}

/** Returns the command line of `ashlar proxy` followed by one of `controlCommands`. */
export function createControlProgram(): Command {
  const program = new Command("ashlar proxy").exitOverride();
  const add = command(program, "add", "Starts a proxy of one more service in a proxy that runs.")
    .requiredOption("--service <NAME>", "the service to add")
    .option("--token <FILE>", "a join token of that service, - for stdin; needed once, until its identity is stored")
    .option("--join <FILE>", "another join.json than the proxy's")
    .option("--app <ADDRESS>", "where the application listens: unix:PATH, or HOST:PORT on a loopback address")
    .option("--agent [ADDRESS]", "the socket where the SDK registers the application: unix:PATH")
    .option("--inbound <HOST:PORT>", "where other proxies call; required with --app or --agent")
    .option("--advertise <HOST:PORT>", "the address that other proxies dial (default: the address of --inbound)")
    .option("--outbound <ADDRESS>", "where the application sends its calls: unix:PATH or a loopback HOST:PORT")
    .option(
      "--upstream <NAME=ADDRESS>",
      "a further address whose calls all go to service NAME; may be repeated",
      gather,
    )
    .option("--label <KEY=VALUE>", "a label of this instance; may be repeated", gather)
    .option(
      "--status <HOST:PORT>",
      "where this service has /healthz, /readyz and /metrics of its own (default: nowhere)",
    )
    .option(
      "--egress-key <NAME=CERT,KEY>",
      "PEM files of a client certificate and its key that the Egress's address asks for by this name; may be repeated",
      gather,
    )
    .option(
      "--workers <N>",
      "how many processes carry the service's calls, 1 to 64, shared with other services (default: as the process)",
    )
    .option("--grace <DURATION>", "how long its open calls may take when it stops")
    .option("--buffer-mib <size>", "what it holds for peers that do not read: 1MiB to 65536MiB")
    .option("--message-mib <size>", "its longest gRPC message: 1MiB to 65536MiB")
    .option("--header-kib <size>", "its most header fields: 8KiB to 1024KiB")
    .option("--keepalive <DURATION>", "silence after which another proxy is pinged, more than 10s, 0: never")
    .option("--record-share <SHARE>", "the share of decisions other than refusals that is recorded, 0 to 1")
    .option("--otlp <URL>", "where spans of its calls are sent")
    .option("--access-log <FILE>", "where lines about its calls are appended, - for standard output")
    .option("--egress-dns <ADDRESS>", "a DNS server that is asked for hosts of Egresses; may be repeated", gather)
    .addHelpText("after", addExamples);
  add.action(async (flags: Record<string, unknown>) => {
    const request = await addRequest(flags, process.cwd());
    print(await askProxy(dataOf(flags), request), flags, () => `${request.settings.service} was added`);
  });
  command(program, "remove", "Drains the proxy of a service that was added, and forgets it.")
    .requiredOption("--service <NAME>", "the service to remove; its identity stays in DATA/services/NAME")
    .addHelpText("after", "\nExample:\n  ashlar proxy remove --data ./proxies --service ledger")
    .action(async (flags: { readonly service: string } & Record<string, unknown>) => {
      const reply = await askProxy(dataOf(flags), { kind: "remove", service: flags.service });
      print(reply, flags, () => `${flags.service} was removed`);
    });
  command(program, "list", "Lists the services of a proxy that runs.")
    .addHelpText("after", "\nExample:\n  ashlar proxy list --data ./proxies -o json")
    .action(async (flags: Record<string, unknown>) =>
      print(await askProxy(dataOf(flags), { kind: "list" }), flags, () => ""),
    );
  return program;
}

function command(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .requiredOption("--data <DIR>", "the folder of the proxy that runs")
    .option("-o, --output <format>", "table or json", (value) => {
      if (value === "table" || value === "json") return value;
      throw new AshlarError("invalid_argument", `-o: expected table or json, got ${JSON.stringify(value)}`);
    })
    .exitOverride()
    .configureOutput({ outputError: (message, write) => write(renderUsageError(message)) });
}

function dataOf({ data }: Record<string, unknown>): string {
  return resolve(String(data));
}

const paths: ReadonlySet<string> = new Set(["join", "access-log"]);
const ofCommand: ReadonlySet<string> = new Set(["data", "output", "token"]);

/**
 * Builds the request. The running proxy has another working directory, so paths are made absolute here, and the token
 * is read here.
 */
async function addRequest(
  flags: Record<string, unknown>,
  cwd: string,
): Promise<Extract<ControlRequest, { kind: "add" }>> {
  const settings: Record<string, SettingValue> = {};
  for (const [camel, value] of Object.entries(flags)) {
    const name = camel.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (!ofCommand.has(name)) settings[name] = absolute(name, value as SettingValue, cwd);
  }
  const source = flags.token === undefined ? undefined : String(flags.token);
  const given = await readToken(source, () => text(process.stdin));
  if (given !== undefined && "noToken" in given) throw new AshlarError("invalid_argument", given.noToken);
  return { kind: "add", settings: settings satisfies ServiceSettings, token: given?.token };
}

function absolute(name: string, value: SettingValue, cwd: string): SettingValue {
  if (Array.isArray(value)) return value.map((one) => String(absolute(name, one, cwd)));
  if (typeof value !== "string") return value;
  if (name === "egress-key") return value.replace(/[^=,]+(?=,|$)/g, (path) => resolve(cwd, path));
  if (paths.has(name)) return value === "-" ? value : resolve(cwd, value);
  return value.replace(/^((?:[^=]*=)?unix:)(.+)$/, (_, scheme: string, path: string) => {
    return `${scheme}${isAbsolute(path) ? path : resolve(cwd, path)}`;
  });
}

function print(
  { services, note }: { readonly services: readonly ListedProxy[]; readonly note: string },
  { output }: Record<string, unknown>,
  said: () => string,
): void {
  if (note !== "") process.stderr.write(`${note}\n`);
  if (output === "json") return void process.stdout.write(`${JSON.stringify(services)}\n`);
  const head = said();
  if (head !== "") process.stdout.write(`${head}\n`);
  for (const { service, state, why, listening } of services) {
    const places = Object.entries(listening).map(([name, address]) => `${name}=${address}`);
    process.stdout.write(`${[service, state, ...places, why].filter((word) => word !== "").join("  ")}\n`);
  }
}

/** The command line: its commands, and the exit codes of their errors. */
import { Command, CommanderError } from "commander";
import { isAshlarError, messageOf } from "../core/errors.js";
import { renderNearest } from "../core/snapshot/nearest.js";
import type { Clock } from "../runtime/clock.js";
import { renderError, renderUsageError } from "../runtime/say-error.js";
import type { Cli } from "./cli.js";
import { type AdminClient, openAdminClient } from "./client.js";
import { loadCommands } from "./commands.js";
import { type AdminContext, readContext } from "./context.js";
import { refuseTwice, withExample } from "./options.js";
import { visibleLines } from "./output.js";
import { createProgress } from "./progress.js";
import type { Terminal } from "./terminal.js";

/** 0: done. 1: refused or failed. 2: wrong use. 3: the control plane could not be reached. */
export type ExitCode = 0 | 1 | 2 | 3;

/** The commands that run in this process instead of a child, so that there is one process id to stop. */
export type ProcessName = "up" | "proxy" | "gateway";

export interface CliDeps {
  readonly clock: Clock;
  readonly version: string;
  /** The path of the context unless --context is given. */
  readonly contextPath: string;
  writeOut(text: string): void;
  writeError(text: string): void;
  readStdin(): Promise<string>;
  /** The width of the terminal behind stderr; undefined: stderr is no terminal. */
  readonly terminalColumns?: number | undefined;
  /**
   * Opens the terminal behind stdout and stdin, for commands that run until the user leaves; undefined: there is none.
   */
  readonly openTerminal?: (() => Terminal) | undefined;
  /** Resolves when the process is told to stop; undefined: signals end it at once. */
  readonly stopped?: (() => Promise<void>) | undefined;
  /** Asks a question at the terminal; undefined: there is none. */
  readonly confirm?: ((question: string) => Promise<boolean>) | undefined;
  /** Runs a control plane, proxy or gateway to its end; resolves with its exit code. */
  runProcess(name: ProcessName, argv: readonly string[]): Promise<number>;
  /** Opens the admin client. Default: mutual TLS to the context's address. */
  readonly openAdmin?: (context: AdminContext) => AdminClient;
}

const processes: ReadonlyMap<string, ProcessName> = new Map([
  ["up", "up"],
  ["proxy", "proxy"],
  ["gateway", "gateway"],
]);

/** Runs one command line (without node and script). Returns the exit code of the process. Never fails. */
export async function runCli(argv: readonly string[], deps: CliDeps): Promise<number> {
  try {
    const [first = "", second = ""] = argv;
    const asked = first === "help" ? processes.get(second) : undefined;
    if (asked !== undefined) return await deps.runProcess(asked, ["--help"]);
    if (first === "--version") {
      deps.writeOut(`${deps.version}\n`);
      return 0;
    }
    const process = processes.get(first);
    if (process !== undefined) return await deps.runProcess(process, argv.slice(1));
    const program = await createProgram(deps, argv);
    if (first === "help" && second !== "") refuseUnknown(program, second);
    await program.parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said what is wrong
    const what = isAshlarError(error) ? error.message : `unexpected: ${messageOf(error)}`;
    deps.writeError(renderError(visibleLines(what)));
    return exitCodeOf(error);
  }
}

/** Returns the exit code that an error means. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!isAshlarError(error)) return 1;
  if (error.code === "invalid_argument") return 2;
  return error.code === "unavailable" ? 3 : 1;
}

/** Builds the commander program for `argv`. Parsing fails with a CommanderError and never ends the process. */
async function createProgram(deps: CliDeps, argv: readonly string[]): Promise<Command> {
  const program = new Command("ashlar")
    .description("Ashlar, an immutable service mesh for gRPC.")
    .option("--context <file>", "the operator's context (default: ASHLAR_CONTEXT, then the configuration folder)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => deps.writeOut(text),
      writeErr: (text) => deps.writeError(text),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
      outputError: (text, write) => write(renderUsageError(text)),
    })
    .showHelpAfterError("See --help for what can be given.")
    .exitOverride();
  // not an option of commander's, because `token --version` means something else
  program.addHelpText("after", "\n`ashlar --version` prints the version.");
  withExample(program, "ashlar up --data ./mesh", "ashlar --context ./mesh/admin.json status");
  addProcessCommands(program);
  const cli = createCli(deps);
  for (const add of await loadCommands(argv)) add(program, cli);
  for (const command of program.commands) refuseTwice(command);
  return program;
}

function refuseUnknown(program: Command, name: string): void {
  const names = [...program.commands.map((command) => command.name()), "help"];
  if (!names.includes(name)) program.error(`error: unknown command '${name}'${renderNearest(name, names)}`);
}

/** Adds commands to the help that are handled before commander sees them. */
function addProcessCommands(program: Command): void {
  program.command("up").description("Start NATS and a control plane; see `ashlar up --help`.");
  program.command("proxy").description("Start a proxy beside a service; see `ashlar proxy --help`.");
  program.command("gateway").description("Let clients outside the mesh in; see `ashlar gateway --help`.");
}

function createCli(deps: CliDeps): Cli {
  const open = deps.openAdmin ?? openAdminClient;
  const contextOf = (command: Command): AdminContext => {
    const { context }: { context?: string } = command.optsWithGlobals();
    return readContext(context ?? deps.contextPath);
  };
  return {
    clock: deps.clock,
    readContext: contextOf,
    readStdin: () => deps.readStdin(),
    print: (text) => deps.writeOut(`${text}\n`),
    note: (text) => deps.writeError(`${visibleLines(text)}\n`),
    progress: createProgress(deps),
    openTerminal: () => deps.openTerminal?.(),
    stopped: () => deps.stopped?.() ?? new Promise<void>(() => {}),
    confirm: async (question) => deps.confirm?.(question),
    withAdmin: async (command, work) => {
      const admin = open(contextOf(command));
      try {
        return await work(admin);
      } finally {
        admin.close();
      }
    },
  };
}

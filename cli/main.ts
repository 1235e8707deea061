#!/usr/bin/env node
import { homedir } from "node:os";
import { text } from "node:stream/consumers";
import { messageOf } from "../core/errors.js";
import { beginLoading } from "../runtime/loading-flags.js";
import { productVersion } from "../runtime/product-version.js";
import type { ProcessName } from "./program.js";

type Main = (argv: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>;

const folderOf = { up: "control-plane", proxy: "data-plane", gateway: "data-plane/edge" } as const satisfies Record<
  ProcessName,
  string
>;

/** Runs the main function of another part, which is found by a computed path: the parts do not import each other. */
async function runProcess(name: ProcessName, argv: readonly string[]): Promise<number> {
  // the other part has handlers of its own, which stop it in order
  process.off("uncaughtException", end);
  process.off("unhandledRejection", end);
  stopWithNpx();
  beginLoading([...process.execArgv, process.env.NODE_OPTIONS].join(" "));
  const address = new URL(`../${folderOf[name]}/main.js`, import.meta.url).href;
  const { main }: { main: Main } = await import(address);
  return main(argv, process.env);
}

/**
 * Stops when npx does: npx runs a command in a shell, which does not pass signals on. When the shell is gone, npx was
 * told to stop.
 */
function stopWithNpx(): void {
  if (process.env.npm_lifecycle_event !== "npx" || !process.env.npm_lifecycle_script?.includes("ashlar")) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 200).unref();
}

/** Asks at the terminal. The module is loaded when it is needed, which is seldom. */
async function askHere(question: string): Promise<boolean> {
  const { askAtTerminal } = await import("./confirm.js");
  return askAtTerminal(question, { input: process.stdin, output: process.stderr });
}

function end(error: unknown): never {
  process.stderr.write(`ashlar: unexpected: ${messageOf(error)}\n`);
  process.exit(1);
}

process.on("uncaughtException", end);
process.on("unhandledRejection", end);
process.stdout.on("error", () => process.exit(0)); // the reader of the pipe has gone

/**
 * Runs a command of the CLI. Its modules are loaded only here, because a proxy or control plane would keep them in
 * memory for ever.
 */
async function runCommand(argv: readonly string[]): Promise<number> {
  const [{ runCli }, { defaultContextPath }, { systemClock }, { openTerminal }] = await Promise.all([
    import("./program.js"),
    import("./context.js"),
    import("../runtime/clock.js"),
    import("./terminal.js"),
  ]);
  return runCli(argv, {
    clock: systemClock,
    version: productVersion(),
    contextPath: process.env.ASHLAR_CONTEXT || defaultContextPath(process.env, homedir()),
    writeOut: (chunk) => process.stdout.write(chunk),
    writeError: (chunk) => process.stderr.write(chunk),
    readStdin: () => text(process.stdin),
    confirm: process.stdin.isTTY && process.stderr.isTTY ? askHere : undefined,
    terminalColumns: process.stderr.isTTY ? process.stderr.columns : undefined,
    openTerminal:
      process.stdin.isTTY && process.stdout.isTTY
        ? () => openTerminal(process.stdin, process.stdout, process.env.NO_COLOR === undefined)
        : undefined,
    stopped: () =>
      new Promise((resolve) => {
        for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
      }),
    runProcess,
  });
}

const argv = process.argv.slice(2);
const [first] = argv;
const running =
  first === "up" || first === "proxy" || first === "gateway" ? runProcess(first, argv.slice(1)) : runCommand(argv);
const code = await running.catch(end);
// text that was written to a pipe must be out before the process ends
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));

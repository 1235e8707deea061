/** Every command line in the README and in docs, whether in a block or in a sentence, is one that the commands take. */
import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "@jest/globals";
import { Command } from "commander";
import type { Cli } from "../../cli/cli.js";
import { loadCommands } from "../../cli/commands.js";
import { createUpCommand } from "../../control-plane/command.js";
import { createProxyCommand } from "../../data-plane/command.js";
import { createGatewayCommand } from "../../data-plane/edge/command.js";
import { controlCommands, createControlProgram } from "../../data-plane/host/command.js";
import { filesBelow } from "../support/source-files.js";

const pages = ["README.md", ...filesBelow("docs", ".md")].filter((page) => page !== "docs/cli.md"); // that one is generated
/** What a sentence may leave out or stand a placeholder for. */
const unfinished = /missing|not specified|is invalid|outputHelp/;
const silent = { writeOut: () => {}, writeErr: () => {} };

/** The words of a shell line, without its comment, pipes and brackets around what may be left out. */
function wordsOf(line: string): readonly string[] {
  const words = line.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? [];
  const end = words.findIndex((word) => word.startsWith("#") || word === ">" || word === "|");
  return (end < 0 ? words : words.slice(0, end))
    .map((word) => word.replace(/^["'[]+|["'\]]+$/g, ""))
    .map((word) => (/^(NUMBER|REV|N)$/.test(word) ? "1" : word));
}

interface Line {
  readonly text: string;
  /** In a sentence a line need not be whole. */
  readonly isWhole: boolean;
}

/** The lines of a page that begin with `ashlar`, continued ones as one. */
function linesOf(page: string): readonly Line[] {
  const text = readFileSync(page, "utf8");
  const blocks = [...text.matchAll(/^```[a-z]*\n(.*?)^```/gms)].map(([, body = ""]) => body);
  const lines = blocks.flatMap((body) => body.replaceAll(/\\\n\s*/g, " ").split("\n"));
  const said = [...text.replaceAll(/^```.*?^```/gms, "").matchAll(/`(ashlar [^`]+)`/g)].map(([, line = ""]) => line);
  const all = [
    ...lines.map((line) => ({ text: line.replace(/^\$ /, ""), isWhole: true })),
    ...said.map((line) => ({ text: line.replaceAll("\n", " "), isWhole: false })),
  ];
  return all.filter((line) => line.text.startsWith("ashlar "));
}

function takeNoAction(command: Command): void {
  command.exitOverride().configureOutput(silent);
  for (const below of command.commands) takeNoAction(below);
  if (command.commands.length === 0 || command.options.length > 0) command.action(() => {});
}

function controlProgram(): Command {
  const made = createControlProgram();
  takeNoAction(made);
  return made;
}

let program: () => Promise<Command>;
beforeAll(() => {
  program = async () => {
    const made = new Command("ashlar").option("--context <file>");
    for (const add of await loadCommands([])) add(made, {} as Cli);
    takeNoAction(made);
    return made;
  };
});

const cases = pages.flatMap((page) => linesOf(page).map((line) => [page, line.text, line] as const));

test("there are lines to check", () => expect(cases.length).toBeGreaterThan(100));

test.each(cases)("%s: %s", async (_page, _text, { text, isWhole }) => {
  const [, ...words] = wordsOf(text);
  const [first, ...rest] = words;
  const process = { up: createUpCommand, proxy: createProxyCommand, gateway: createGatewayCommand }[first ?? ""];
  const command =
    first === "proxy" && controlCommands.has(rest[0] ?? "")
      ? controlProgram()
      : process === undefined
        ? await program()
        : process(() => {}).configureOutput(silent);
  const parsed = command.parseAsync(process === undefined ? words : rest, { from: "user" });
  const result = await parsed.then(() => "taken", String);
  expect(!isWhole && unfinished.test(result) ? "taken" : result).toBe("taken");
});

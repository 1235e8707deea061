/** docs/settings.md and docs/cli.md say what the commands take; UPDATE_GOLDEN=1 writes their tables anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { Command, type Option } from "commander";
import type { Cli } from "../../cli/cli.js";
import { loadCommands } from "../../cli/commands.js";
import { createUpCommand } from "../../control-plane/command.js";
import { parseUpConfig } from "../../control-plane/config.js";
import { createProxyCommand } from "../../data-plane/command.js";
import { parseGatewayConfig } from "../../data-plane/config.js";
import { createGatewayCommand } from "../../data-plane/edge/command.js";
import { parseHostConfig } from "../../data-plane/host/host-config.js";
import type { ConfigSources } from "../../runtime/config.js";
import { filesBelow } from "../support/source-files.js";

type Parse = (sources: ConfigSources, cwd: string) => unknown;

const settings = "docs/settings.md";
const up = createUpCommand(() => {});
const proxy = createProxyCommand(() => {});
const gateway = createGatewayCommand(() => {});
const variableOf = (option: Option): string => `ASHLAR_${option.name().replaceAll("-", "_").toUpperCase()}`;
const cell = (text: string): string => text.replaceAll("|", "\\|");
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** The variables that `parse` asks for. */
function variablesRead(parse: Parse, flags: ConfigSources["flags"]): ReadonlySet<string> {
  const asked = new Set<string>();
  const env = new Proxy<ConfigSources["env"]>({}, { get: (_, name) => void asked.add(String(name)) });
  parse({ flags, env, file: {} }, "/cwd");
  return new Set([...asked].filter((name) => name.startsWith("ASHLAR_")));
}

const needed = { service: "a", join: "join.json", agent: "unix:/a", inbound: "127.0.0.1:1" };
const neededAtEdge = { name: "a", join: "join.json", listener: ["web=127.0.0.1:1"] };
const variables = {
  up: variablesRead(parseUpConfig, {}),
  proxy: variablesRead(parseHostConfig, needed),
  gateway: variablesRead(parseGatewayConfig, neededAtEdge),
};
// a flag that is given keeps its variable from being asked for
const given = (flags: object) => Object.keys(flags).map((name) => `ASHLAR_${name.toUpperCase()}`);
const read = {
  up: variables.up,
  proxy: new Set([...variables.proxy, ...given(needed)]),
  gateway: new Set([...variables.gateway, ...given(neededAtEdge)]),
};

/** What an option says without its default, and its default. */
function describe(option: Option): readonly [string, string] {
  const [, text = "", stated = ""] = /^(.*?)(?: \(default: (.*)\))?$/s.exec(option.description) ?? [];
  const choices = option.argChoices === undefined ? "" : ` (${option.argChoices.join(", ")})`;
  return [
    cell(`${text}${choices}`),
    cell(stated || option.defaultValueDescription || String(option.defaultValue ?? "")),
  ];
}

function settingsOf(command: Command, asked: ReadonlySet<string>): string {
  const rows = command.options.map((option) => {
    const variable = variableOf(option);
    const has = asked.has(variable) || variable === "ASHLAR_CONFIG";
    return [`\`${cell(option.flags)}\``, has ? `\`${variable}\`` : "", ...describe(option)];
  });
  return `## \`${command.name()}\`\n\n${table(["flag", "variable", "what it sets", "default"], rows)}`;
}

function sdkOptions(): string {
  const rows = [
    ["sdk/index.ts", "JoinOptions", "join(…)"],
    ["sdk/mesh.ts", "ServeOptions", "mesh.serve(server, …)"],
    ["sdk/mesh.ts", "LeaveOptions", "mesh.leave(…)"],
  ].flatMap(([file = "", name = "", call = ""]) => {
    const body = new RegExp(`interface ${name} \\{(.*?)\\n\\}`, "s").exec(readFileSync(file, "utf8"))?.[1] ?? "";
    return [...body.matchAll(/\/\*\*(.*?)\*\/\s+readonly (\w+)\??:/gs)].map(([, text = "", option = ""]) => {
      const [, about = "", stated = ""] = /^(.*?)(?: Default:? (.*?)\.?)?$/s.exec(plain(text)) ?? [];
      return [`\`${call}\``, `\`${option}\``, cell(about), cell(stated)];
    });
  });
  return `## The SDK\n\n${table(["call", "option", "what it says", "default"], rows)}`;
}

function plain(comment: string): string {
  return comment.replace(/\s*\n\s*\*\s*/g, " ").trim();
}

function expectPart(file: string, name: string, part: string): void {
  const page = readFileSync(file, "utf8");
  const [begin, end] = [page.indexOf(`<!-- ${name}:`), page.indexOf(`<!-- end of ${name} -->`)];
  const body = page.indexOf("-->", begin) + "-->".length;
  const right = `${page.slice(0, body)}\n\n${part}\n\n${page.slice(end)}`;
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, right);
  else expect(page).toBe(right);
}

test("the page of settings has every flag, variable and default of up, proxy, gateway and the SDK", () => {
  const processes = [settingsOf(up, read.up), settingsOf(proxy, read.proxy), settingsOf(gateway, read.gateway)];
  const parts = [...processes, sdkOptions()];
  expectPart(settings, "settings", parts.join("\n\n"));
});

test.each([
  ["up", up, parseUpConfig as Parse, read.up],
  ["proxy", proxy, parseHostConfig as Parse, read.proxy],
  ["gateway", gateway, parseGatewayConfig as Parse, read.gateway],
] as const)("%s has a flag for every setting that it reads, and reads every flag", (_name, command, parse, asked) => {
  const flags = command.options.map(variableOf);
  expect([...asked].filter((variable) => !flags.includes(variable))).toEqual([]);
  for (const option of command.options) {
    const parsed = () => parse({ flags: {}, env: {}, file: { [option.name()]: {} } }, "/cwd");
    expect(parsed).not.toThrow(/unknown setting/);
  }
});

test("every ASHLAR_* variable that the code names is on the page", () => {
  const page = readFileSync(settings, "utf8");
  const streams = readFileSync("core/wire/subjects.ts", "utf8");
  const folders = ["cli", "control-plane", "core", "data-plane", "runtime", "sdk"];
  const named = folders
    .flatMap((folder) => filesBelow(folder, ".ts"))
    .flatMap((file) => readFileSync(file, "utf8").match(/\bASHLAR_[A-Z_]*[A-Z]\b/g) ?? [])
    .filter((name) => !streams.includes(`"${name}"`));
  expect([...new Set(named)].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

function verbs(command: Command, path: string): readonly string[] {
  const below = command.commands.flatMap((one) => verbs(one, `${path} ${one.name()}`));
  if (below.length > 0 && command.options.length === 0) return below;
  const takes = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? ` <${name}>` : ` [${name}]`;
  });
  const described = command.registeredArguments.filter(({ description }) => description !== "");
  const rows = [
    ...described.map((argument) => [`\`<${argument.name()}>\``, cell(argument.description), ""]),
    ...command.options
      .filter(({ hidden }) => !hidden)
      .map((option) => [`\`${cell(option.flags)}\``, ...describe(option)]),
  ];
  const options = rows.length === 0 ? [] : [table(["option", "what it says", "default"], rows)];
  const title = `## \`${path}${takes.join("")}\``;
  return [[title, command.description(), ...options, ...examplesOf(command)].join("\n\n"), ...below];
}

/** The examples that end a command's help, as a block of code. */
function examplesOf(command: Command): readonly string[] {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const lines = /\nExamples?:\n(.*)$/s.exec(help)?.[1]?.match(/(?<=^ {2}).*$/gm);
  return lines == null ? [] : [`\`\`\`\n${lines.join("\n")}\n\`\`\``];
}

test("the page of commands has every command with its options", async () => {
  const program = new Command("ashlar");
  for (const add of await loadCommands([])) add(program, {} as Cli);
  expectPart("docs/cli.md", "commands", verbs(program, "ashlar").join("\n\n"));
});

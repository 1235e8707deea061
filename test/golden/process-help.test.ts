/** The help of processes, word for word, and defaults of all commands as people write them. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { Command } from "commander";
import type { Cli } from "../../cli/cli.js";
import { loadCommands } from "../../cli/commands.js";
import { createUpCommand } from "../../control-plane/command.js";
import { createProxyCommand } from "../../data-plane/command.js";
import { createGatewayCommand } from "../../data-plane/edge/command.js";

const processes = [
  ["help-up.txt", createUpCommand(() => {})],
  ["help-proxy.txt", createProxyCommand(() => {})],
  ["help-gateway.txt", createGatewayCommand(() => {})],
] as const;

test.each(processes)("%s", (name, command) => {
  let text = "";
  const writeOut = (part: string): void => {
    text += part;
  };
  command.configureOutput({ writeOut, getOutHelpWidth: () => 100 }).outputHelp();
  const path = `test/golden/cli/${name}`;
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, "utf8"));
});

const all = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(all)];

test("no default in the help of any command is a bare number of bytes or milliseconds", async () => {
  const program = new Command("ashlar");
  for (const add of await loadCommands([])) add(program, {} as Cli);
  const commands = [program, ...processes.map(([, command]) => command)].flatMap(all);
  const options = commands.flatMap((command) => command.options);
  expect(options.length).toBeGreaterThan(100);
  for (const { flags, description, defaultValue, defaultValueDescription } of options) {
    const [, stated] = /\(default: (.*)\)/.exec(description) ?? [];
    const shown = stated ?? defaultValueDescription ?? String(defaultValue ?? "");
    const withoutAddresses = shown.replaceAll(/:\d+/g, "");
    if (!flags.includes("<number>"))
      expect([flags, withoutAddresses]).toEqual([flags, expect.not.stringMatching(/\d{5,}/)]);
    if (/<duration>|<size>/i.test(flags) && shown !== "")
      expect([flags, shown]).toEqual([flags, expect.stringMatching(/^\d+(ms|s|m|h|d|KiB|MiB|GiB)\b/)]);
  }
});

import { type Command, InvalidArgumentError } from "commander";
import { isWorkload } from "../../core/identity.js";
import type { Cli } from "../cli.js";
import type { AdminClient, TapFilter } from "../client.js";
import { callToJson, renderCall } from "../look-output.js";
import { outputOption, parseDuration, parseLabel, parseNumber, withExample } from "../options.js";
import { counted, jsonLine, type OutputFormat } from "../output.js";
import type { Terminal } from "../terminal.js";
import { untilLeft } from "../until-left.js";

interface Flags {
  readonly service?: string;
  readonly caller?: string;
  readonly method?: string;
  readonly refused?: boolean;
  readonly slow?: number;
  readonly count?: number;
  readonly output: OutputFormat;
}

/** Adds `ashlar tap`: shows calls as they end, reported by the proxies that carry them. */
export function addTapCommand(program: Command, cli: Cli): void {
  const command = program
    .command("tap")
    .summary("Show calls as they end, from the proxies that see them.")
    .description(
      "Show calls as they end, a line each, from the proxies that see them, without changing policy.\n" +
        "The called service's proxy reports a call, or the caller's proxy if the other did not answer it. Each proxy reports\n" +
        "at most 200 a second, and stderr says how many more there were. On a terminal q leaves. Proxies are asked by a\n" +
        "signed order that expires within seconds; each tap is noted in the audit log.",
    )
    .option("--service <name>", "only calls to this service", parseLabel)
    .option("--caller <name>", "only calls by this service, gateway/NAME or SPIFFE ID", parseCaller)
    .option("--method <name>", "only this method, package.Service/Method, or package.Service/*", parseMethod)
    .option("--refused", "only calls that were refused: by authorization, for their token, or by a limit")
    .option("--slow <duration>", "only calls that took at least this long, such as 100ms", parseDuration)
    .option("--count <number>", "end after this many calls", parseNumber)
    .addOption(outputOption())
    .action(async ({ count = Number.POSITIVE_INFINITY, output, ...flags }: Flags, self: Command) => {
      const { service = "", caller = "", method = "", refused = false, slow: slowMs = 0 } = flags;
      const filter = { service, caller, method, refused, slowMs };
      const terminal = output === "table" ? cli.openTerminal() : undefined;
      try {
        await cli.withAdmin(self, (admin) => follow(cli, admin, filter, { count, output, terminal }));
      } finally {
        terminal?.close();
      }
    });
  withExample(
    command,
    "ashlar tap --service payments --refused",
    "ashlar tap --caller checkout --slow 100ms",
    "ashlar tap --service payments --count 100 -o json",
  );
}

interface Showing {
  readonly count: number;
  readonly output: OutputFormat;
  readonly terminal: Terminal | undefined;
}

async function follow(cli: Cli, admin: AdminClient, filter: TapFilter, showing: Showing): Promise<void> {
  const { count, output, terminal } = showing;
  let shown = 0;
  const batches = admin.tapCalls({ filter });
  if (terminal !== undefined) cli.note("Waiting for calls; q leaves.");
  for await (const { calls, proxyId, dropped } of terminal === undefined
    ? batches
    : untilLeft(batches, terminal.left)) {
    for (const call of calls) {
      if (output === "json") cli.print(jsonLine(callToJson(call, proxyId)));
      else cli.print(`${renderCall(call, terminal?.columns, terminal?.colours ?? false)}`);
      shown++;
      if (shown >= count) return;
    }
    if (dropped > 0) cli.note(`${counted(dropped, "call")} more: too many at once to be shown`);
  }
}

function parseCaller(text: string): string {
  if (!isWorkload(text) && !/^spiffe:\/\/[!-~]+$/.test(text))
    throw new InvalidArgumentError("Expected a service, gateway/NAME or a SPIFFE ID.");
  return text;
}

function parseMethod(text: string): string {
  if (!/^[^/\s]+\/[^/\s]+$/.test(text))
    throw new InvalidArgumentError("Expected package.Service/Method or package.Service/*.");
  return text;
}

import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { AdminClient, WatchTrafficResponse } from "../client.js";
import { renderTraffic, trafficToJson } from "../look-output.js";
import { outputOption, parseLabel, withExample } from "../options.js";
import { jsonLine, type OutputFormat } from "../output.js";
import { untilLeft } from "../until-left.js";

interface Flags {
  readonly once?: boolean;
  readonly service?: string;
  readonly output: OutputFormat;
}

/** The least time that `--once` counts calls for, in milliseconds. */
const onceMs = 3000;

/** Adds `ashlar top`: calls, success and latency by caller, service and method, live. */
export function addTopCommand(program: Command, cli: Cli): void {
  const command = program
    .command("top")
    .summary("Show calls, success and latency by caller and method, live.")
    .description(
      "Show calls, success and latency by caller, service, version and method over the last ten seconds.\n" +
        "On a terminal the screen changes each second until q is pressed; in a pipe each view is printed, with -o json\n" +
        "on a line of its own. Proxies are asked by a signed order that expires; this is noted in the audit log.",
    )
    .option("--once", "print one view of three seconds or more, then end")
    .option("--service <name>", "only calls to or from this service", parseLabel)
    .addOption(outputOption())
    .action(async ({ once = false, service = "", output }: Flags, self: Command) => {
      await cli.withAdmin(self, async (admin) => {
        if (once) return showOnce(cli, admin, service, output);
        await showLive(cli, admin, service, output);
      });
    });
  withExample(command, "ashlar top", "ashlar top --once -o json", "ashlar top --service payments");
}

async function showOnce(cli: Cli, admin: AdminClient, service: string, output: OutputFormat): Promise<void> {
  for await (const view of admin.watchTraffic({ service })) {
    if (view.windowMs < onceMs) continue;
    show(cli, output, trafficToJson(view), renderTraffic(view, undefined, false).join("\n"));
    return;
  }
}

async function showLive(cli: Cli, admin: AdminClient, service: string, output: OutputFormat): Promise<void> {
  const views = admin.watchTraffic({ service });
  const terminal = output === "table" ? cli.openTerminal() : undefined;
  if (terminal === undefined) {
    for await (const view of views)
      cli.print(
        output === "json" ? jsonLine(trafficToJson(view)) : `${renderTraffic(view, undefined, false).join("\n")}\n`,
      );
    return;
  }
  try {
    let last: WatchTrafficResponse | undefined;
    const draw = (): void => {
      const asking = ["Asking the proxies ... (q leaves)"];
      const lines = last === undefined ? asking : renderTraffic(last, terminal.columns, terminal.colours);
      terminal.draw(fitted(lines, terminal.rows));
    };
    terminal.onResize(draw);
    draw();
    for await (const view of untilLeft(views, terminal.left)) {
      last = view;
      draw();
    }
  } finally {
    terminal.close();
  }
}

/** Returns as many lines as the screen has room for, and how many more there are. */
function fitted(lines: readonly string[], rows: number): readonly string[] {
  const room = Math.max(3, rows - 1);
  if (lines.length < room) return [...lines, "q leaves"];
  return [...lines.slice(0, room - 1), `${lines.length - room + 1} more lines · q leaves`];
}

import { type Command, InvalidArgumentError, Option } from "commander";
import { type Cli, show } from "../cli.js";
import { present, type ShadowInfo } from "../client.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime } from "../output.js";

interface Flags {
  readonly share: number;
  readonly message?: string;
  readonly output: OutputFormat;
}

/** `ashlar shadow start|stop|status`. */
export function addShadowCommand(program: Command, cli: Cli): void {
  const shadow = program
    .command("shadow")
    .summary("Judge live calls by a candidate too, without enforcing it.")
    .description(
      "Ask a candidate about live calls beside the active revision: nothing of it is enforced, calls that would\n" +
        "come out otherwise are counted and recorded. Any other activation ends it.",
    );
  withExample(shadow, "ashlar shadow start 12 --share 0.1", "ashlar shadow status");
  addStart(shadow, cli);
  addStop(shadow, cli);
  addStatus(shadow, cli);
}

function addStart(shadow: Command, cli: Cli): void {
  const command = shadow
    .command("start")
    .description(
      "Judge live calls by a published revision too, without enforcing it, as a new epoch of the active one.",
    )
    .argument("<revision>", "the candidate revision", parseNumber)
    .addOption(
      new Option("--share <number>", "the share of calls that the candidate judges too, above 0 and up to 1")
        .argParser(parseShare)
        .default(10_000, "1"),
    )
    .option("-m, --message <text>", "the reason, for the log")
    .addOption(outputOption())
    .action(async (revision: number, { share, message = "", output }: Flags, self: Command) => {
      const request = { revision, shareBasisPoints: share, reason: message };
      const { epoch } = present((await cli.withAdmin(self, (admin) => admin.startShadow(request))).activation);
      const text = `Revision ${revision} is asked beside the active one from epoch ${epoch} on.`;
      show(cli, output, { epoch, revision, share: share / 10_000 }, text);
    });
  withExample(command, "ashlar shadow start 12", 'ashlar shadow start 12 --share 0.1 -m "try the new rules"');
}

function addStop(shadow: Command, cli: Cli): void {
  const command = shadow
    .command("stop")
    .description("Stop the shadow, as a new epoch of the active revision.")
    .option("-m, --message <text>", "the reason, for the log")
    .addOption(outputOption())
    .action(async ({ message = "", output }: Flags, self: Command) => {
      const { epoch } = present(
        (await cli.withAdmin(self, (admin) => admin.stopShadow({ reason: message }))).activation,
      );
      show(cli, output, { epoch }, `No candidate is asked from epoch ${epoch} on.`);
    });
  withExample(command, "ashlar shadow stop");
}

function addStatus(shadow: Command, cli: Cli): void {
  const command = shadow
    .command("status")
    .description("Show what the candidate would have made of live calls, by service.")
    .addOption(outputOption())
    .action(async ({ output }: Flags, self: Command) => {
      const { shadow: info } = await cli.withAdmin(self, (admin) => admin.getShadow({}));
      show(cli, output, info === undefined ? { running: false } : { running: true, ...info }, render(info));
    });
  withExample(command, "ashlar shadow status", "ashlar shadow status -o json");
}

function render(info: ShadowInfo | undefined): string {
  if (info === undefined) return "No shadow runs.";
  const { revision, active, shareBasisPoints, epoch, sinceMs, services } = info;
  const rows = services.map((one) => [
    one.service,
    `${one.running} of ${one.running + one.missingCount}`,
    String(one.same + one.wouldDeny + one.wouldAllow + one.errors),
    String(one.wouldDeny),
    String(one.wouldAllow),
    String(one.errors),
  ]);
  const flips = services.flatMap(({ service, flips }) =>
    flips.map((flip) => [
      flip.caller,
      `${service}/${plain(flip.method)}`,
      String(flip.wouldDeny),
      String(flip.wouldAllow),
    ]),
  );
  const missing = services
    .filter(({ missingCount }) => missingCount > 0)
    .map((one) => plain(`not asked at ${one.service}: ${one.missing.slice(0, 10).join(", ")}`));
  return [
    `Revision ${revision} beside revision ${active}, ${shareBasisPoints / 100} % of calls, since ${renderTime(sinceMs)} (epoch ${epoch}).`,
    renderTable(["SERVICE", "PROXIES", "CALLS", "WOULD DENY", "WOULD ALLOW", "ERRORS"], rows),
    ...(flips.length > 0 ? ["", renderTable(["CALLER", "METHOD", "WOULD DENY", "WOULD ALLOW"], flips)] : []),
    ...missing,
  ].join("\n");
}

function parseShare(text: string): number {
  const points = Math.round(Number(text) * 10_000);
  if (!/^(?:0?\.\d{1,4}|0|1(?:\.0{1,4})?)$/.test(text) || points < 1)
    throw new InvalidArgumentError("Expected a share from 0.0001 to 1, for example 0.1.");
  return points;
}

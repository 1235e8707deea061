import { type Command, Option } from "commander";
import { type Cli, show } from "../cli.js";
import type { ListAccessResponse } from "../client.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable } from "../output.js";
import { parsePointInTime } from "../point-in-time.js";
import { besideToJson, renderBeside } from "../rollout-beside.js";
import { parseServiceMethod } from "../service-method.js";

interface Flags {
  readonly revision?: number;
  readonly at?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar who-can SERVICE/METHOD`. It exits with 0 whoever may call. */
export function addWhoCanCommand(program: Command, cli: Cli): void {
  const command = program
    .command("who-can")
    .summary("List who may call a method, who may under a condition, and who may not.")
    .description(
      "List who may call a method, who may under a condition, and who may not.\n" +
        'Callers are the services, the SPIFFE IDs that rules name, and "*" for everyone else.',
    )
    .argument("<service/method>", "for example payments/shop.Payments/Charge; the service ends at the first slash")
    .option("--revision <number>", "the revision that judges; default: the active one", parseNumber)
    .addOption(
      new Option(
        "--at <time>",
        "judge by the revision that was active at this time: 2026-01-31T09:30:00Z, or 2h for two hours ago",
      ).conflicts("revision"),
    )
    .addOption(outputOption())
    .action(async (target: string, flags: Flags, self: Command) => {
      const { service, method } = parseServiceMethod(target);
      const atMs = flags.at === undefined ? 0 : parsePointInTime(flags.at, cli.clock.nowMs());
      const answer = await cli.withAdmin(self, (admin) =>
        admin.listAccess({ service, method, revision: flags.revision ?? 0, atMs }),
      );
      const { revision, epoch, callers, reason, rollout } = answer;
      const listed = callers.map(({ caller, access, rule, condition, judgedMethod }) => ({
        caller,
        access,
        rule,
        ...(condition === "" ? {} : { condition }),
        ...(judgedMethod === "" ? {} : { judgedMethod }),
      }));
      const about = { ...(reason === "" ? {} : { reason }), ...besideToJson(rollout) };
      const value = { service, method, revision, epoch, callers: listed, ...about };
      show(cli, flags.output, value, renderAnswer(answer));
    });
  withExample(
    command,
    "ashlar who-can payments/shop.Payments/Charge",
    "ashlar who-can payments/shop.Payments/Charge --at 2h",
  );
}

function renderAnswer({ revision, epoch, callers, reason, rollout }: ListAccessResponse): string {
  const beside = rollout === undefined ? "" : `\n${renderBeside(rollout)}`;
  if (callers.length === 0) return `${plain(reason)}${beside}`;
  const isConditional = callers.some(({ condition }) => condition !== "");
  const isMoved = callers.some(({ judgedMethod }) => judgedMethod !== "");
  const rows = callers.map(({ caller, access, rule, condition, judgedMethod }) => {
    return [
      ...[plain(caller), access, rule],
      ...(isConditional ? [plain(condition)] : []),
      ...(isMoved ? [plain(judgedMethod)] : []),
    ];
  });
  const columns = [
    "CALLER",
    "ACCESS",
    "RULE",
    ...(isConditional ? ["CONDITION"] : []),
    ...(isMoved ? ["JUDGED AS"] : []),
  ];
  const why = reason === "" ? "" : `${plain(reason)}\n`;
  return `${renderTable(columns, rows)}\n\n${why}Revision ${revision}${epoch === 0 ? "" : `, epoch ${epoch}`}.${beside}`;
}

import { type Command, InvalidArgumentError } from "commander";
import { Replay, type ReplayResult } from "../../core/decision/replay.js";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import type { AdminClient } from "../client.js";
import { listDecisions } from "../decisions.js";
import { renderFinding } from "../findings.js";
import { durationOption, outputOption, parseLabel, parseNumber, withExample } from "../options.js";
import { counted, type OutputFormat, plain, renderTable } from "../output.js";
import { readPolicyFiles } from "../policy-files.js";
import { fetchPolicy, type PolicyUnits, RevisionCache, readPolicy } from "../policy-units.js";

interface Flags {
  readonly candidate?: number;
  readonly file?: readonly string[];
  readonly since: number;
  readonly service?: string;
  readonly failOnFlips?: number;
  readonly output: OutputFormat;
}

const _sinceMsDefault = 3_600_000;
const flipsShownMax = 50;

/** Adds `ashlar replay`: decides recorded traffic again under a candidate, on this machine. */
export function addReplayCommand(program: Command, cli: Cli): void {
  const command = program
    .command("replay")
    .summary("Say what recorded traffic would get under a candidate.")
    .description(
      "Decide recorded traffic again under a candidate, a revision (by default the newest) or files, on this\n" +
        "machine: who would be refused or sent elsewhere, by caller and method. Each decision is also decided\n" +
        "again under its own revision, which has to reproduce it. Exit 1 if it does not, or above --fail-on-flips.",
    )
    .option("--candidate <revision>", "the candidate revision", parseNumber)
    .option("-f, --file <path...>", "files or folders as the candidate")
    .addOption(durationOption("--since <duration>", "how far to look back", "1h"))
    .option("--service <name>", "only calls to this service", parseLabel)
    .option(
      "--fail-on-flips <number>",
      "exit with 1 if more recorded decisions than this come out differently",
      parseCount,
    )
    .addOption(outputOption())
    .action(async (flags: Flags, self: Command) => {
      const { candidate, result } = await cli.withAdmin(self, (admin) => replay(cli, admin, flags));
      show(cli, flags.output, resultToJson(candidate, result), render(candidate, result));
      if (result.mismatched > 0)
        throw new AshlarError(
          "internal",
          `${counted(result.mismatched, "decision")} did not come out the same under their own revision: report this`,
        );
      if (flags.failOnFlips !== undefined && result.flipped > flags.failOnFlips)
        throw new AshlarError(
          "invalid_policy",
          `${counted(result.flipped, "flip")}, at most ${flags.failOnFlips} allowed`,
        );
    });
  withExample(command, "ashlar replay --candidate 12 --since 1h", "ashlar replay -f policy/ --fail-on-flips 0 -o json");
}

async function replay(
  cli: Cli,
  admin: AdminClient,
  flags: Flags,
): Promise<{ readonly candidate: PolicyUnits; readonly result: ReplayResult }> {
  const candidate = await findCandidate(cli, admin, flags);
  const revisions = new RevisionCache(admin);
  const going = new Replay({
    candidate: (service) => candidate.find(service)?.compiled,
    own: (revision) => {
      const policy = revisions.find(revision);
      return policy && ((service) => policy.find(service)?.compiled);
    },
  });
  const request = {
    sinceMs: cli.clock.nowMs() - flags.since,
    untilMs: 0,
    service: flags.service ?? "",
    refused: false,
  };
  for await (const batch of listDecisions(admin, request)) {
    await revisions.fetch(batch.decisions.map(({ revision }) => revision));
    going.add(batch);
  }
  return { candidate, result: going.result() };
}

async function findCandidate(cli: Cli, admin: AdminClient, { candidate, file }: Flags): Promise<PolicyUnits> {
  if (candidate !== undefined && file !== undefined)
    throw new AshlarError("invalid_argument", "give --candidate REVISION or -f PATH, not both");
  if (file === undefined) {
    const { headRevision } = await admin.getStatus({});
    return fetchPolicy(admin, candidate ?? headRevision);
  }
  const files = await readPolicyFiles(file, () => cli.readStdin());
  const { findings, policy } = readPolicy(files, (await admin.getStatus({})).mesh);
  for (const finding of findings) cli.note(renderFinding(finding));
  if (policy !== undefined) return policy;
  throw new AshlarError("invalid_policy", "the policy files have errors");
}

function resultToJson({ name }: PolicyUnits, result: ReplayResult) {
  return { candidate: name, ...result };
}

function render({ name }: PolicyUnits, result: ReplayResult): string {
  const { decisions, counted: refusals, estimate, dropped, flips } = result;
  if (decisions + refusals === 0) return "Nothing was recorded in this time.";
  const lines = [
    `${counted(decisions, "decision")} and ${counted(refusals, "counted refusal")}, for about ${counted(estimate, "call")}, under ${name}:`,
    `${result.same} the same, ${result.flipped} otherwise, ${result.undecidable} not decidable.`,
  ];
  if (flips.length > 0) {
    const rows = flips
      .slice(0, flipsShownMax)
      .map((flip) => [
        flip.caller || "(several)",
        `${flip.service}/${plain(flip.method) || "(several)"}`,
        `${flip.before} -> ${flip.after}`,
        flip.rule || "-",
        String(flip.count),
        String(flip.estimate),
        flip.samples.join(" "),
      ]);
    lines.push("", renderTable(["CALLER", "METHOD", "VERDICT", "RULE", "DECISIONS", "CALLS", "SAMPLES"], rows));
    if (flips.length > flipsShownMax) lines.push(`and ${flips.length - flipsShownMax} more kinds of flips`);
  }
  if (result.unknown.length > 0)
    lines.push(
      "",
      ...result.unknown.map(({ what, count }) => `not decidable: ${plain(what)} was not recorded (${count})`),
    );
  if (dropped > 0)
    lines.push("", `${counted(dropped, "decision")} found no room when they were made, and are missing here.`);
  const shares = [result.refusedShare, result.predictedRefusedShare].map(percent);
  lines.push("", `refused: ${shares[0]} of inbound calls then, ${shares[1]} under ${name}`);
  lines.push(
    `under their own revisions: ${result.reproduced} reproduced, ${result.mismatched} not, ${result.unchecked} not checked`,
  );
  for (const { id, revision, recorded, again } of result.mismatches)
    lines.push(`  ${id}: revision ${revision} said ${plain(recorded)}, and now says ${plain(again)}`);
  return lines.join("\n");
}

function percent(share: number | undefined): string {
  return share === undefined ? "-" : `${(share * 100).toFixed(2)} %`;
}

function parseCount(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0.");
  return Number(text);
}

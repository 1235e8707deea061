import type { Command } from "commander";
import { approvalToJson, renderApprovers } from "../approvals.js";
import { type Cli, show } from "../cli.js";
import type { ActivationInfo, AdminClient, RevisionInfo } from "../client.js";
import { outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime, shortDigest } from "../output.js";

const limitDefault = 10_000;
const pageMax = 1000;

/** `ashlar log`: revisions, newest first. */
export function addLogCommand(program: Command, cli: Cli): void {
  const command = program
    .command("log")
    .description("List revisions, newest first; * marks the active one, + one that a rollout brings.")
    .option("--limit <number>", "the most entries to print", parseNumber, limitDefault)
    .addOption(outputOption())
    .action(async ({ limit, output }: { limit: number; output: OutputFormat }, self: Command) => {
      const [revisions, active] = await cli.withAdmin(self, (admin) => readRevisions(admin, limit));
      const isCandidate = ({ number }: RevisionInfo): boolean => active?.base !== 0 && number === active?.revision;
      const entries = revisions.map((one) => ({
        ...revisionToJson(one),
        ...(isCandidate(one) ? { rollout: active?.rollout } : {}),
      }));
      show(cli, output, entries, renderLog(revisions, isCandidate));
    });
  withExample(command, "ashlar log --limit 10");
}

async function readRevisions(
  admin: AdminClient,
  limit: number,
): Promise<readonly [readonly RevisionInfo[], ActivationInfo | undefined]> {
  const found: RevisionInfo[] = [];
  let head: ActivationInfo | undefined;
  while (found.length < limit) {
    const before = found.at(-1)?.number ?? 0;
    const pageSize = Math.min(pageMax, limit - found.length);
    const { revisions, active } = await admin.listRevisions({ limit: pageSize, before });
    head ??= active;
    found.push(...revisions);
    if (revisions.length < pageSize || found.at(-1)?.number === 1) break;
  }
  return [found.slice(0, limit), head];
}

export function revisionToJson(revision: RevisionInfo) {
  const { number, digest, parent, snapshot, author, message, timeMs, active, changedUnits } = revision;
  const approvals = revision.approvals.map(approvalToJson);
  const time = renderTime(timeMs);
  return { number, digest, parent, author, message, time, active, snapshot, changedUnits, approvals };
}

function renderLog(revisions: readonly RevisionInfo[], isCandidate: (revision: RevisionInfo) => boolean): string {
  if (revisions.length === 0) return "There is no revision yet.";
  const isApproved = revisions.some(({ approvals }) => approvals.length > 0);
  const rows = revisions.map((revision) => [
    `${revision.number}${revision.active ? " *" : isCandidate(revision) ? " +" : ""}`,
    shortDigest(revision.digest),
    renderTime(revision.timeMs),
    revision.author,
    ...(isApproved ? [renderApprovers(revision.approvals)] : []),
    plain(revision.message),
  ]);
  const approved = isApproved ? ["APPROVED BY"] : [];
  return renderTable(["REVISION", "DIGEST", "TIME", "AUTHOR", ...approved, "MESSAGE"], rows);
}

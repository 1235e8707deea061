/** From one data model to the other and back: replay, hold, replay the rest, activate (docs/journal-replay.md). */
import { join } from "node:path";
import { untilHealthy } from "../payments/run-example.js";
import { expect } from "../shop/demo-parts.js";
import { booksOf, entries, type LedgerExample } from "./ledger-steps.js";

const customers = ["alice", "bob", "carol", "dave"];

/** What a replay reports at its end. */
interface Replayed {
  readonly sent: number;
  readonly diverged: number;
  readonly applied: number;
  readonly unresolved: number;
  readonly complete: boolean;
}

const checkpointOf = ({ mesh }: LedgerExample, target: string): readonly string[] => [
  "--checkpoint",
  join(mesh.folder, `replay-${target}.json`),
];

export async function builtByReplay(example: LedgerExample): Promise<void> {
  const { mesh, branch, v2, say } = example;
  branch.beginBusiness(customers);
  await mesh.startMember(v2);
  await untilHealthy(mesh, 2, "ledger");
  const replay = ["journal", "replay", "--service", "ledger", "--target", "v2", "--verify"];
  const follow = [...replay, "--holder-key", example.holder.keyPath, "--follow"];
  say(`  $ ashlar ${follow.join(" ")}`);
  const following = mesh.startCommand("follow", ...follow, ...checkpointOf(example, "v2"));
  await following.said("v2 is level with");
  const before = branch.booked;
  while (branch.booked < before + 20) await new Promise((resolve) => setTimeout(resolve, 20));
  say(`  v2 is level while business goes on: ${branch.booked} transfers so far`);

  await example.apply("hold-blue");
  say("  transfers wait, and their clients ask again");
  const { code, text } = await following.stop();
  expect(code === 0, `following ends well, but: ${text.trim().split("\n").slice(-3).join(" ")}`);
  const rest = await replayRest(example, "v2");
  say(
    `  v2 has what was applied (${rest.applied} writes, one of them shredded), of which the last ${rest.sent} now; every answer is that of v1`,
  );
  await compare(example, "v1", "v2");
  const [erin, frank] = [await branch.account("erin", "v2"), await branch.account("frank", "v2")];
  say("  v2 knows frank by the holder's key, and not erin, who was shredded");
  expect(frank.registered && !erin.registered, "what was shredded is not replayed");
}

export async function switched(example: LedgerExample): Promise<void> {
  const { branch, say } = example;
  await example.apply("green");
  const before = branch.booked;
  while (branch.booked < before + 20) await new Promise((resolve) => setTimeout(resolve, 20));
  const { version, postings, cents } = await branch.account("bob");
  say(`  ${version} books on: ${branch.booked} transfers; bob has ${cents} cents by ${postings.length} postings`);
  expect(version === "v2" && postings.length > 0, "v2 is live, with its own model");
}

export async function rolledBack(example: LedgerExample): Promise<void> {
  const { branch, statements, say } = example;
  await example.apply("hold-green");
  const first = await firstOf(example);
  const rest = await replayRest(example, "v1", "--from", String(first));
  say(`  v1 gets the ${rest.sent} transfers that v2 booked, from ${first} on`);
  expect(rest.sent >= 20, "what v2 booked is sent to v1");
  await compare(example, "v2", "v1");
  await example.rollback(example.blue);
  const before = branch.booked;
  while (branch.booked < before + 20) await new Promise((resolve) => setTimeout(resolve, 20));
  await branch.endBusiness();
  const account = await branch.account("bob");
  const booked = [...customers, "bank", "cinema"];
  for (const name of booked) {
    const { cents } = await branch.account(name);
    expect(cents === branch.owed(name), `${name} has ${branch.owed(name)} cents, but ${cents}`);
    expect((await statements.cents(name, branch.booked)) === cents, "and so it is in the projection");
  }
  say(`  ${account.version} books on; every account has what was acknowledged, at the ledger and in the projection`);
  expect(account.version === "v1", "v1 is live again");
}

/** Replays what is left while transfers wait. Fails if something diverges or remains open. */
async function replayRest(example: LedgerExample, target: string, ...more: readonly string[]): Promise<Replayed> {
  const argv = ["journal", "replay", "--service", "ledger", "--target", target, "--verify", ...more];
  example.say(`  $ ashlar ${argv.join(" ")}`);
  const rest = await example.mesh.ashlarJson<Replayed>(0, ...argv, ...checkpointOf(example, target));
  expect(rest.complete && rest.diverged === 0 && rest.unresolved === 0, "nothing diverges, and nothing is open");
  return rest;
}

/** Fails unless both versions state the same balances. */
async function compare({ branch }: LedgerExample, one: string, other: string): Promise<void> {
  for (const name of customers) {
    const [a, b] = [await branch.account(name, one), await branch.account(name, other)];
    expect(a.version === one && b.version === other, "each version is asked");
    expect(a.cents === b.cents && a.sequence === b.sequence, `${one} and ${other} have the same of ${name}`);
  }
}

/** Returns the first transfer that v2 booked live, which is the first one that v1 does not have. */
async function firstOf({ mesh, v1 }: LedgerExample): Promise<number> {
  const known = new Set(booksOf(v1).map((line) => (JSON.parse(line) as { sequence: number }).sequence));
  const listed = await entries(mesh);
  const lastKnown = Math.max(...known);
  return listed.find(({ sequence, valid }) => valid && sequence > lastKnown)?.sequence ?? 0;
}

/**
 * A ledger whose state is what was appended: a retry after a crash, a race, a projection from the event feed, a
 * customer whose personal data is shredded, and a version with another data model that is built by replay, switched to
 * by one activation, and left again.
 */
import { untilHealthy } from "../payments/run-example.js";
import type { Member } from "../shop/demo-mesh.js";
import { runOnMesh } from "../shop/run-on-mesh.js";
import { Branch } from "./branch.js";
import { makeHolder } from "./holder.js";
import { killedProxies, type LedgerExample, ledgerOf, projected, raced, transferred } from "./ledger-steps.js";
import { shredded } from "./private-steps.js";
import { Statements } from "./statements.js";
import { builtByReplay, rolledBack, switched } from "./switch-steps.js";

const caller: Member = { name: "branch", service: "branch", version: "v1" };
const reader: Member = { name: "statements", service: "statements", version: "v1" };

const steps: readonly { readonly title: string; readonly run: (example: LedgerExample) => Promise<void> }[] = [
  { title: "Transfers: the state is what was appended", run: transferred },
  { title: "Proxies are killed, and a transfer that comes again is booked once", run: killedProxies },
  { title: "Two transfers race, and one is told to read again", run: raced },
  { title: "A projection by the feed", run: projected },
  { title: "Who a customer is can be shredded, and the journal stays whole", run: shredded },
  { title: "v2, with another data model, is built by replay while customers go on", run: builtByReplay },
  { title: "Everybody to v2, by one activation", run: switched },
  { title: "And back, with what v2 booked", run: rolledBack },
];

await runOnMesh(async (mesh) => {
  const say = (text: string): void => console.log(text);
  const startedMs = Date.now();
  const [v1, v2] = [ledgerOf(mesh, "v1"), ledgerOf(mesh, "v2")];
  const holder = makeHolder(mesh);
  await mesh.startControlPlane();
  await Promise.all([v1, caller, reader].map((member) => mesh.startMember(member)));
  const revisionOf = async (...argv: readonly string[]): Promise<number> => {
    say(`  $ ashlar ${argv.join(" ")}`);
    return (await mesh.ashlarJson<{ revision: number }>(0, ...argv)).revision;
  };
  const apply = (name: string): Promise<number> => {
    const files = [holder.policyPath, `examples/ledger/policy/${name}.yaml`, "examples/ledger/ledger.proto"];
    return revisionOf("apply", "-f", ...files, "-m", name, "--wait", "--yes");
  };
  const blue = await apply("blue");
  await untilHealthy(mesh, 1, "ledger");
  say(`  up after ${((Date.now() - startedMs) / 1000).toFixed(1)} s`);
  const example: LedgerExample = {
    ...{ mesh, say, apply, caller, v1, v2, blue, holder },
    branch: await Branch.open(mesh),
    statements: await Statements.open(mesh),
    rollback: (revision) => revisionOf("rollback", "--to", String(revision), "--wait"),
  };
  for (const [index, { title, run }] of steps.entries()) {
    say(`\n${index + 1}. ${title}`);
    await run(example);
  }
  const { branch, statements } = example;
  await branch.close();
  await statements.close();
  say(`\n${branch.booked} transfers, ${branch.askedAgain} times asked for again: each is in the books once`);
});

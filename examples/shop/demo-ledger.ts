/** The demo's ledger: a service whose writes are journaled before it sees them. */
import { Branch } from "../ledger/branch.js";
import { makeHolder } from "../ledger/holder.js";
import { type Bank, killedProxies, ledgerOf, raced, transferred } from "../ledger/ledger-steps.js";
import { shredded } from "../ledger/private-steps.js";
import { untilHealthy } from "../payments/run-example.js";
import type { Member } from "./demo-mesh.js";
import type { Demo } from "./demo-parts.js";

const caller: Member = { name: "branch", service: "branch", version: "v1" };

/** `apply` applies the demo's present policy together with these files. */
export async function ledgerOfWrites(
  { mesh, say }: Demo,
  apply: (message: string, ...files: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const v1 = ledgerOf(mesh, "v1");
  const holder = makeHolder(mesh);
  await apply("a ledger", holder.policyPath, "examples/ledger/ledger.proto");
  await Promise.all([v1, caller].map((member) => mesh.startMember(member)));
  await untilHealthy(mesh, 1, "ledger");
  const branch = await Branch.open(mesh);
  try {
    const bank: Bank = { mesh, say, branch, caller, v1, holder };
    await transferred(bank);
    await killedProxies(bank);
    await raced(bank);
    await shredded(bank);
  } finally {
    await branch.close();
  }
}

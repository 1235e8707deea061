/** Transfers, a crash, a race and a projection. Each step says what it does and checks the result. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import type { DemoMesh, Member } from "../shop/demo-mesh.js";
import { expect } from "../shop/demo-parts.js";
import { type Branch, sequenceOf } from "./branch.js";
import type { Holder } from "./holder.js";
import type { Statements } from "./statements.js";

/** A ledger of one version, and a branch that calls it. */
export interface Bank {
  readonly mesh: DemoMesh;
  readonly branch: Branch;
  /** The member that calls the ledger. */
  readonly caller: Member;
  readonly v1: Member;
  readonly holder: Holder;
  say(text: string): void;
}

export interface LedgerExample extends Bank {
  readonly statements: Statements;
  readonly v2: Member;
  /** The revision in which v1 is live. */
  readonly blue: number;
  /** Applies a policy of examples/ledger/policy and waits until every proxy follows. Returns the revision. */
  apply(name: string): Promise<number>;
  /** Makes a revision active again, everywhere. */
  rollback(revision: number): Promise<number>;
}

/** Returns the member that runs the ledger in one version, with the file that its instance writes. */
export function ledgerOf(mesh: DemoMesh, version: string): Member {
  const [name, path] = [`ledger-${version}`, join(mesh.folder, `ledger-${version}.jsonl`)];
  return { name, service: "ledger", version, application: "ledger/ledger", env: { LEDGER_FILE: path } };
}

/** Returns what an instance of the ledger has written to its file, one line for each transfer. */
export const booksOf = ({ env = {} }: Member): readonly string[] =>
  readFileSync(env.LEDGER_FILE ?? "", "utf8")
    .trimEnd()
    .split("\n");

/** A line of `ashlar journal list -o json`. */
export interface Listed {
  readonly sequence: number;
  readonly valid: boolean;
  readonly key: string;
  readonly outcome: { readonly code: number } | null;
}

export const entries = (mesh: DemoMesh): Promise<readonly Listed[]> =>
  mesh.ashlarJson(0, "journal", "list", "--service", "ledger", "--limit", "10000");

const opening = { from: "bank", to: "alice", cents: 10_000 };

export async function transferred({ mesh, branch, say }: Bank): Promise<void> {
  const opened = await branch.transfer(opening, { key: "open-alice" });
  expect(opened.code === status.OK, `a transfer is booked, but: ${opened.message}`);
  for (const [key, cents] of [
    ["rent", 4000],
    ["bread", 350],
  ] as const) {
    const paid = await branch.transfer({ from: "alice", to: "bob", cents }, { key });
    const [receipt] = paid.responses;
    say(`  alice pays ${cents} cents: receipt ${receipt?.number}, place ${sequenceOf(paid)} in the journal`);
    expect(paid.code === status.OK && sequenceOf(paid) > 0, "a receipt, and a place in the journal");
  }
  const refused = await branch.transfer({ from: "alice", to: "bob", cents: 2_000_000 }, { key: "too-much" });
  say(`  alice pays 2,000,000 cents: ${status[refused.code]}, "${refused.message}"`);
  expect(refused.code === status.FAILED_PRECONDITION, "a transfer that the ledger refuses");
  const listed = await entries(mesh);
  const account = await branch.account("alice");
  say(`  $ ashlar journal list --service ledger: ${listed.length} writes; alice has ${account.cents} cents`);
  expect(
    listed.length === 4 && listed.every((each) => each.valid && each.outcome !== null),
    "each write with its outcome",
  );
  expect(account.cents === branch.owed("alice") && account.cents === 5650, "what alice has is what was appended");
}

export async function killedProxies({ mesh, branch, caller, v1, say }: Bank): Promise<void> {
  const transfer = { from: "alice", to: "carol", cents: 500 };
  const slow = { key: "birthday", slowMs: 2000 };
  const booked = () => booksOf(v1).filter((line) => line.includes('"carol"')).length;
  const first = branch.transfer(transfer, slow);
  for (const endMs = Date.now() + 30_000; booked() === 0; await pause()) expect(Date.now() < endMs, "it is booked");
  await Promise.all([mesh.killProxy(caller.name), mesh.killProxy(v1.name)]);
  const lost = await first;
  say(
    `  the ledger has booked it and not answered yet; its proxy and the client's are killed (kill -9): ${status[lost.code]}`,
  );
  expect(lost.code === status.UNAVAILABLE, "a client that does not know what came of its transfer");
  const again = branch.transferUntilKnown(transfer, slow);
  await Promise.all([mesh.startProxy(caller), mesh.startProxy(v1)]);
  const answer = await again;
  const [receipt] = answer.responses;
  say(`  both are back, and the client asks again under its key: receipt ${receipt?.number}; booked ${booked()} time`);
  expect(answer.code === status.OK && receipt?.number === 3, "the receipt of the first time");
  expect(booked() === 1 && (await branch.account("carol")).cents === 500, "it is booked once");
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

export async function raced({ branch, say }: Bank): Promise<void> {
  const { sequence } = await branch.account("alice");
  say(`  two clients read that alice's last transfer is ${sequence}, and both pay from there`);
  const racers = ["cinema", "theatre"].map((key) => ({ key, request: { from: "alice", to: key, cents: 1200 } }));
  const results = await Promise.all(
    racers.map(({ key, request }) => branch.transfer(request, { key, expected: sequence })),
  );
  const loser = results.findIndex(({ code }) => code === status.ABORTED);
  const [lost, racer] = [results[loser], racers[loser]];
  const winner = results[1 - loser];
  if (lost === undefined || racer === undefined || winner === undefined)
    throw new Error(`one of two is told to read again, but: ${results.map(({ code }) => status[code])}`);
  expect(winner.code === status.OK, "the other one is booked");
  say(`  ${racer.key} gets ${status[lost.code]}: alice's last transfer is ${sequenceOf(lost)} now`);
  const now = await branch.account("alice");
  expect(
    sequenceOf(lost) === sequenceOf(winner) && now.sequence === sequenceOf(winner),
    "it is told which one was first",
  );
  const again = await branch.transfer(racer.request, { key: racer.key, expected: now.sequence });
  say(`  it reads again, pays from there under the same key, and is booked at ${sequenceOf(again)}`);
  expect(again.code === status.OK, `it is booked, but: ${again.message}`);
}

export async function projected({ branch, statements, say }: LedgerExample): Promise<void> {
  for (const name of ["alice", "bob", "carol"]) {
    const [cents, account] = [await statements.cents(name, branch.booked), await branch.account(name)];
    say(`  ${name}: ${cents} cents by ${statements.events} events, ${account.cents} by the ledger`);
    expect(cents === account.cents && cents === branch.owed(name), "the projection has what the ledger has");
  }
}

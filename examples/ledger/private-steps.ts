/** A customer's private fields: stored for the holder of a key, and shredded for good while the journal stays whole. */
import { status } from "@grpc/grpc-js";
import { expect } from "../shop/demo-parts.js";
import { type Branch, sequenceOf } from "./branch.js";
import type { Bank } from "./ledger-steps.js";

/** The part of `ashlar journal show -o json` that is read here. */
interface Shown {
  readonly private: "restored" | "withheld" | "shredded";
  /** The message with gRPC's framing, in base64. */
  readonly request: string;
}

const customers = [
  { account: "erin", name: "Erin Lindqvist", town: "Falun" },
  { account: "frank", name: "Frank Okafor", town: "Enugu" },
] as const;

export async function shredded(bank: Bank): Promise<void> {
  const { mesh, branch, holder, say } = bank;
  const [erin, frank] = [await registered(branch, 0), await registered(branch, 1)];
  say(`  erin and frank become customers; who they are is in the journal at ${erin} and ${frank}, encrypted`);
  const key = ["--holder-key", holder.keyPath];
  await reads(bank, erin, 0, "withheld");
  await reads(bank, erin, 0, "restored", ...key);
  say("  $ ashlar journal show ledger: withheld; with the holder's key: restored");
  const shred = ["journal", "shred", "erin", "--service", "ledger", "-m", "asked for it", "--yes"];
  const { keys } = await mesh.ashlarJson<{ keys: number }>(0, ...shred);
  say(`  $ ashlar ${shred.join(" ")}: ${keys} data key is erased`);
  expect(keys === 1, "one proxy wrote about erin, under one key");
  await reads(bank, erin, 0, "shredded", ...key);
  await reads(bank, frank, 1, "restored", ...key);
  const verdict = await mesh.ashlarJson<{ ok: boolean }>(0, "journal", "verify", "--service", "ledger");
  const account = await branch.account("erin");
  say("  nobody reads again who erin is, frank is as before, and the journal verifies");
  expect(verdict.ok, "the journal verifies");
  expect(account.registered, "what the ledger made of it stays");
}

async function registered(branch: Branch, index: 0 | 1): Promise<number> {
  const customer = customers[index];
  const outcome = await branch.register(customer);
  expect(outcome.code === status.OK, `${customer.account} becomes a customer, but: ${outcome.message}`);
  return sequenceOf(outcome);
}

/** Fails unless reading a registration shows exactly this, and nothing private beside it. */
async function reads(
  { mesh }: Bank,
  sequence: number,
  index: 0 | 1,
  expected: Shown["private"],
  ...flags: readonly string[]
): Promise<void> {
  const argv = ["journal", "show", "ledger", String(sequence), ...flags];
  const shown = await mesh.ashlarJson<Shown>(0, ...argv);
  const { account, name, town } = customers[index];
  const request = Buffer.from(shown.request, "base64").toString("utf8");
  expect(shown.private === expected, `what is private of ${account} is ${expected}, but: ${shown.private}`);
  expect(request.includes(account), "what is not private is in clear");
  for (const text of [name, town])
    expect(request.includes(text) === (expected === "restored"), `${text} is read only if it is restored`);
}

/** The step of the demo in which a rule asks for the end user's token beside the caller's identity. */
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { callWith } from "./calls.js";
import { root } from "./demo-mesh.js";
import { type Demo, expect } from "./demo-parts.js";
import { Inventory } from "./shop.js";

const inForceMs = 15_000;

export async function clerksToken({ mesh, accounts, inventory, say }: Demo): Promise<void> {
  const file = join(mesh.folder, "accounts-jwks.json");
  writeFileSync(file, accounts.jwks);
  const argv = ["issuer", "set", "accounts", "--issuer", accounts.issuer, "--jwks", file] as const;
  say(`  $ ashlar issuer set accounts --issuer ${accounts.issuer} --jwks ${relative(root, file)}`);
  await mesh.ashlarJson(0, ...argv);
  const restock = async (token?: string): Promise<status> => {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    return (await callWith(metadata, inventory, Inventory, "Restock", { item: "anvil", quantity: 1 })).code;
  };
  const clerk = accounts.token("ann", ["clerk"]);
  let code = await restock(clerk);
  for (const endMs = Date.now() + inForceMs; code !== status.OK && Date.now() < endMs; ) code = await restock(clerk);
  const others = {
    "without a token": await restock(),
    "with a customer's token": await restock(accounts.token("bob", [])),
  };
  say(`  storefront restocks with a clerk's token: ${status[code]}`);
  for (const [what, got] of Object.entries(others)) say(`  ${what}: ${status[got]}`);
  const { UNAUTHENTICATED, PERMISSION_DENIED } = status;
  const [without, customer] = Object.values(others);
  expect(code === status.OK, "a clerk's token passes");
  expect(without === UNAUTHENTICATED, "a call without a token is unauthenticated");
  expect(customer === PERMISSION_DENIED, "a customer's token is denied");
}

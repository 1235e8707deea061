/** What each step of the demo receives, and how it reports that something did not happen. */
import type { Client } from "@grpc/grpc-js";
import { join as joinMesh, type Mesh } from "../../sdk/index.js";
import { type Accounts, openAccounts } from "./demo-accounts.js";
import type { DemoMesh } from "./demo-mesh.js";
import { Checkout, Inventory, Payments } from "./shop.js";

export interface Demo {
  readonly mesh: DemoMesh;
  readonly storefront: Mesh;
  /** Issues the tokens of the shop's people. */
  readonly accounts: Accounts;
  readonly checkout: Client;
  readonly inventory: Client;
  readonly payments: Client;
  say(text: string): void;
}

/** Opens the demo, which calls as the storefront: that has a proxy and no application of its own. */
export async function openDemo(mesh: DemoMesh, say: (text: string) => void): Promise<Demo> {
  const storefront = await joinMesh({ service: "storefront", agent: mesh.agentOf("storefront") });
  return {
    mesh,
    storefront,
    accounts: openAccounts(),
    checkout: new Checkout(...storefront.client("checkout")),
    inventory: new Inventory(...storefront.client("inventory")),
    payments: new Payments(...storefront.client("payments")),
    say,
  };
}

export async function closeDemo({ storefront, checkout, inventory, payments }: Demo): Promise<void> {
  for (const client of [checkout, inventory, payments]) client.close();
  await storefront.leave();
}

export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`this step did not do what it says: ${what}`);
}

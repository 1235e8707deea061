/** Customers who buy while the demo stays up, so that the console, `ashlar top` and `ashlar tap` have something to show. */
import { call } from "./calls.js";
import type { Demo } from "./demo-parts.js";
import { Checkout, Inventory, Payments } from "./shop.js";

/** The time between two calls, in milliseconds. */
const paceMs = 300;

/** What the storefront does again and again; the last is denied, as policy says. */
const habits: readonly ((demo: Demo) => Promise<unknown>)[] = [
  ({ checkout }) => call(checkout, Checkout, "PlaceOrder", { item: "mallet", quantity: 1 }),
  ({ inventory }) => call(inventory, Inventory, "Reserve", { item: "chisel", quantity: 1 }),
  ({ checkout }) => call(checkout, Checkout, "PlaceOrder", { item: "anvil", quantity: 1 }),
  ({ inventory }) => call(inventory, Inventory, "ListStock", {}),
  ({ payments }) => call(payments, Payments, "Charge", { order_id: "x", cents: 1 }),
];

/** Calls at a low rate until the returned function is called. Whatever a call is answered, the next one follows. */
export function sendCustomers(demo: Demo): () => void {
  let made = 0;
  const timer = setInterval(() => void habits[made++ % habits.length]?.(demo), paceMs);
  return () => clearInterval(timer);
}

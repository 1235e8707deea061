/** The step of the demo in which clients outside come in through a gateway, and a call leaves the mesh. */
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { status } from "@grpc/grpc-js";
import { call } from "./calls.js";
import { type Courier, openCourier } from "./courier.js";
import { root } from "./demo-mesh.js";
import { type Demo, expect } from "./demo-parts.js";
import { type Booking, Couriers, shopDescriptors } from "./shop.js";

const inForceMs = 15_000;

/** `apply` activates the policy for the gateway and the egress. */
export async function waysInAndOut(demo: Demo, apply: (demo: Demo) => Promise<unknown>): Promise<void> {
  await apply(demo);
  await comeIn(demo);
  const courier = await openCourier();
  try {
    await goOut(demo, courier);
  } finally {
    courier.close();
  }
}

async function comeIn({ mesh, accounts, say }: Demo): Promise<void> {
  const descriptors = join(mesh.folder, "shop.binpb");
  writeFileSync(descriptors, shopDescriptors());
  const address = await mesh.startGateway("public", "web", [
    ...["--listener", "web=127.0.0.1:0", "--descriptors", descriptors],
  ]);
  say(`  the gateway public listens on ${address}, for gRPC, gRPC-Web and Connect, over HTTP/2 and HTTP/1.1`);
  const order = async (method: string, token?: string): Promise<readonly [number, string]> => {
    const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`http://${address}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer },
      body: JSON.stringify({ item: "anvil", quantity: 1 }),
    });
    const text = await answer.text();
    say(`  POST /${method} ${token === undefined ? "without" : "with"} a token: ${answer.status} ${text}`);
    return [answer.status, text];
  };
  const token = accounts.token("bob", []);
  const [ordered, text] = await order("shop.Checkout/PlaceOrder", token);
  expect(ordered === 200 && text.includes('"state":"paid"'), "a customer outside orders in JSON");
  const [refused] = await order("shop.Checkout/PlaceOrder");
  expect(refused === 401, "who brings no token is refused");
  const [hidden] = await order("shop.Checkout/CancelOrder", token);
  expect(hidden === 404, "what is not exposed does not exist");
}

async function goOut({ mesh, storefront, say }: Demo, courier: Courier): Promise<void> {
  const ca = join(mesh.folder, "courier-ca.pem");
  writeFileSync(ca, courier.certificate);
  // an egress to a loopback address is refused unless the address is allowed
  const where = ["--address", courier.address, "--server-name", courier.host, "--ca", ca];
  const argv = ["egress", "set", "courier", ...where, "--allow-address", "127.0.0.1/32"];
  say(`  $ ashlar ${argv.map((word) => (word === ca ? relative(root, ca) : word)).join(" ")}`);
  await mesh.ashlarJson(0, ...argv);
  const client = new Couriers(...storefront.client("courier"));
  try {
    const book = () => call<Booking>(client, Couriers, "Book", { order_id: "order-1" });
    let booked = await book();
    for (const endMs = Date.now() + inForceMs; booked.code !== status.OK && Date.now() < endMs; ) booked = await book();
    const [booking] = booked.responses;
    say(
      `  storefront booked ${booking?.parcel_id} outside, over TLS; of the caller the courier saw "${booking?.caller}"`,
    );
    expect(booked.code === status.OK && booking?.caller === "", "a call leaves the mesh, and no identity with it");
    const other = await call(client, Couriers, "Cancel", {});
    say(`  shop.Couriers/Cancel, which policy does not state: ${status[other.code]}, "${other.message}"`);
    expect(other.code === status.PERMISSION_DENIED, "no other method leaves");
  } finally {
    client.close();
  }
}

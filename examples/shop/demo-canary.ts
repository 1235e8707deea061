/** The demo's canary: users keep their side while weights grow, and an instance that hangs leaves the rotation. */
import { Metadata, status } from "@grpc/grpc-js";
import { callWithin } from "./calls.js";
import { type Demo, expect } from "./demo-parts.js";
import { Inventory, type Reservation } from "./shop.js";

const usersCount = 60;
const member = "inventory-v2";
const backMs = 30_000;

type Apply = (demo: Demo, message: string, file: string) => Promise<unknown>;

async function reserveFor(user: string, { inventory }: Demo, deadlineMs: number) {
  const metadata = new Metadata();
  metadata.set("x-user", user);
  const request = { item: "chisel", quantity: 1 };
  const { code, responses } = await callWithin<Reservation>(
    deadlineMs,
    metadata,
    inventory,
    Inventory,
    "Reserve",
    request,
  );
  return { code, version: responses[0]?.version };
}

async function usersOfV2(demo: Demo): Promise<readonly string[]> {
  const found: string[] = [];
  for (let user = 0; user < usersCount; user++) {
    const { code, version } = await reserveFor(`user-${user}`, demo, 10_000);
    expect(code === status.OK, "every call is served");
    if (version === "v2") found.push(`user-${user}`);
  }
  return found;
}

export async function stickyCanary(demo: Demo, apply: Apply): Promise<void> {
  await apply(demo, "30 % of users to v2", "inventory-canary.yaml");
  const first = await usersOfV2(demo);
  const [user = ""] = first;
  demo.say(`  ${first.length} of ${usersCount} users are on v2, ${user} among them`);
  await apply(demo, "60 % of users to v2", "inventory-canary-grown.yaml");
  const grown = await usersOfV2(demo);
  demo.say(`  now ${grown.length} are, and nobody went back: ${user} is still on v2`);
  expect(user !== "" && first.length < grown.length, "more users on v2");
  expect(
    first.every((one) => grown.includes(one)),
    "nobody who was on v2 goes back",
  );
}

/** Runs after `stickyCanary`. */
export async function hungInstance(demo: Demo): Promise<void> {
  const { mesh, say } = demo;
  const [user = ""] = await usersOfV2(demo);
  mesh.signal(member, "SIGSTOP");
  try {
    say(`  the application of ${member} hangs (SIGSTOP); ${user} calls on, each call with a second of time`);
    let lost = 0;
    let served = await reserveFor(user, demo, 1000);
    for (; served.code !== status.OK && lost < 10; lost++) served = await reserveFor(user, demo, 1000);
    say(
      `  after ${lost} calls without an answer ${user} is served by ${served.version}: ${member} is out of the rotation`,
    );
    expect(served.version === "v1" && lost <= 4, "the instance that hangs gets no calls after three without an answer");
  } finally {
    mesh.signal(member, "SIGCONT");
  }
  for (const endMs = Date.now() + backMs; (await reserveFor(user, demo, 1000)).version !== "v2"; )
    expect(Date.now() < endMs, `the instance is back within ${backMs / 1000} s`);
  say(`  it goes on (SIGCONT), and ${user} is back on v2`);
}

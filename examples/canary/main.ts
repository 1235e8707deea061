/** A canary from v1 to v2 and back: users stay on their side, and the API changes without its callers knowing. */

import { type Example, green, runExample, untilHealthy } from "../payments/run-example.js";
import { expect } from "../shop/demo-parts.js";

const policy = (name: string): readonly string[] =>
  ["services", name].map((one) => `examples/canary/policy/${one}.yaml`);
const users = 200;
const onV2 = (sides: ReadonlyMap<string, string>) =>
  [...sides].filter(([, side]) => side === "v2").map(([user]) => user);

/** Fails if a user who was on v2 is no longer. */
function expectNobodyBack(before: readonly string[], after: readonly string[]): void {
  const back = before.filter((user) => !after.includes(user));
  expect(back.length === 0, `nobody goes back from v2, but ${back.length} did`);
}

await runExample(policy("v2-at-0"), async (example: Example) => {
  const { mesh, shop, say, apply, rollback } = example;

  say("\n1. A fifth of the users get v2, before any instance of it is there: all stay with v1");
  await apply("payments v2: 20%", ...policy("v2-at-20"));
  await mesh.startProxy(green);
  const early = onV2(await shop.sides(users));
  say(`  the proxy of v2 is up, its application is not: ${early.length} of ${users} users are on v2`);
  expect(early.length === 0, "an instance that is not ready gets no call");

  say("\n2. v2 is ready");
  await mesh.startApplication(green);
  await untilHealthy(mesh, 2);
  const first = onV2(await shop.sides(users));
  say(`  ${first.length} of ${users} users are on v2`);
  expect(first.length >= 15 && first.length <= 65, "about 40 users on v2"); // 4 standard deviations
  const beta = await shop.charge("user-of-tests", { "x-beta": "1" });
  expect(beta.served_by === "v2", "who asks for the beta gets v2");

  say("\n3. Half of them: nobody who is on v2 goes back");
  await apply("payments v2: 50%", ...policy("v2-at-50"));
  const half = onV2(await shop.sides(users));
  say(`  ${half.length} of ${users} users are on v2, the ${first.length} of before among them`);
  expectNobodyBack(first, half);
  expect(half.length >= 72 && half.length <= 128, "about 100 users on v2");

  say("\n4. All of them, and the API moves: callers still say shop.v1, shop.v2 arrives");
  const all = await apply("payments v2, by its new API", ...policy("v2-only"));
  const moved = await shop.charge("user-0");
  say(`  ${moved.method} was served by ${moved.served_by}`);
  expect(moved.served_by === "v2" && moved.method === "shop.v2.Payments/Charge", "v2 is called by its new name");
  const asked = ["can", "storefront", "payments/shop.v1.Payments/Charge"] as const;
  const can = await mesh.ashlarJson<{ allowed: boolean; judgedMethod: string }>(0, ...asked);
  expect(can.allowed && can.judgedMethod === moved.method, "`ashlar can` judges the name that arrives");

  say("\n5. And back");
  const before = await rollback();
  const again = onV2(await shop.sides(users));
  say(`  revision ${before} instead of ${all}: ${again.length} of ${users} users are on v2`);
  expect(again.join() === half.join(), "the same users as before on v2");
  await rollback();
  expect(onV2(await shop.sides(users)).join() === first.join(), "and before that");
});

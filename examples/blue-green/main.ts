/** Blue-green: v2 runs beside v1, is tested under load, gets all calls by one activation, and loses them again. */
import { green, runExample, untilHealthy } from "../payments/run-example.js";
import { expect } from "../shop/demo-parts.js";

const policy = (name: string): readonly string[] =>
  ["services", name].map((one) => `examples/blue-green/policy/${one}.yaml`);
const calls = 100;

await runExample(policy("blue"), async ({ mesh, shop, say, apply, rollback }) => {
  const expectAll = async (version: string): Promise<void> => {
    const sides = [...(await shop.sides(calls)).values()].filter((side) => side === version);
    say(`  of ${calls} calls ${version} served ${sides.length}`);
    expect(sides.length === calls, `every call to ${version}`);
  };

  say("\n1. v2 starts: it has no weight and gets no call, but for tests");
  await mesh.startMember(green);
  await untilHealthy(mesh, 2);
  await expectAll("v1");
  const tested = await shop.charge("tester", { "x-test": "1" });
  expect(tested.served_by === "v2", "a test reaches v2");

  say("\n2. Everybody to v2, by one activation");
  const revision = await apply("payments: green", ...policy("green"));
  await expectAll("v2");

  say("\n3. And back");
  const back = await rollback();
  expect(back === revision - 1, "the revision before is in force again");
  await expectAll("v1");
});

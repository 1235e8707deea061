import { afterEach, expect, test } from "@jest/globals";
import { signFreshness } from "../../../core/wire/records.js";
import { Offerer } from "../../../data-plane/recover/offerer.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildFreshness, createTestKey, testMesh } from "../../support/records.js";

const one = createTestKey();
const two = createTestKey();
const stop: AbortController[] = [];
afterEach(() => {
  for (const each of stop.splice(0)) each.abort();
});

function start(offer: () => Promise<number>) {
  const [clock, life] = [new ManualClock(), new AbortController()];
  stop.push(life);
  const seen = { contested: 0 };
  const heads = () => ({ epoch: 5, trustSequence: 1, revision: 0, ...seen });
  const deps = { clock, log: silentLogger, random: () => 0.5, heads, offer };
  return { clock, seen, offerer: new Offerer(deps, life.signal) };
}
const says = (epoch: number, { signer } = one) => signFreshness(buildFreshness(epoch), testMesh, signer);

test("a control plane that is behind is offered what is held within seconds, and again while it stays so", async () => {
  let offers = 0;
  const { clock, offerer } = start(async () => (offers += 1));
  offerer.hear(says(5));
  await clock.advance(120_000);
  expect(offers).toBe(0); // nobody is behind
  offerer.hear(says(0));
  await clock.advance(2000);
  expect(offers).toBe(1);
  await clock.advance(120_000);
  expect(offers).toBeGreaterThan(1);
});

test("once others have healed it, this one offers later, since it may hold more; failures are tried again", async () => {
  let offers = 0;
  const { clock, offerer } = start(async () => {
    offers += 1;
    throw new Error("away");
  });
  offerer.hear(says(0));
  offerer.hear(says(5, two)); // another control plane that is not behind changes nothing
  await clock.advance(2000);
  expect(offers).toBe(1);
  await clock.advance(60_000);
  expect(offers).toBeGreaterThan(1);
  const before = offers;
  offerer.hear(says(5));
  await clock.advance(4000);
  expect(offers).toBe(before);
  await clock.advance(60_000);
  expect(offers).toBe(before + 1);
});

test("two records of one number are offered within seconds, until that succeeds, and once", async () => {
  let offers = 0;
  const { clock, seen, offerer } = start(async () => {
    offers += 1;
    if (offers === 1) throw new Error("away");
    return 1;
  });
  offerer.hear(says(5));
  seen.contested = 1;
  offerer.hear(says(5));
  await clock.advance(2000);
  expect(offers).toBe(1);
  await clock.advance(60_000);
  expect(offers).toBe(2);
  offerer.hear(says(5));
  await clock.advance(120_000);
  expect(offers).toBe(2);
});

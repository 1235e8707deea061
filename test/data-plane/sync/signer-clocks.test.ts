/** Statements about the heads of the logs, with clocks that are wrong or jump. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { SignerClocks, type StatementAge } from "../../../data-plane/sync/signer-clocks.js";

const epochMs = 1_700_000_000_000;
const validMs = 15_000;

/** A world with a true time; every machine's clock is off by something. */
class World {
  readonly clocks = new SignerClocks();
  trueMs = 0;
  signerOffMs = 0;
  proxyOffMs = 0;

  sign(kid = "a"): { kid: string; issuedMs: number; expiresMs: number } {
    const issuedMs = epochMs + this.trueMs + this.signerOffMs;
    return { kid, issuedMs, expiresMs: issuedMs + validMs };
  }

  hear(statement = this.sign(), isAnswer = false): StatementAge {
    const wallMs = epochMs + this.trueMs + this.proxyOffMs;
    return this.clocks.judge(statement, { wallMs, monotonicMs: this.trueMs, isAnswer });
  }

  /** Statements every three seconds; the outcome of the last. */
  run(seconds: number): StatementAge["kind"] {
    let kind: StatementAge["kind"] = "signed";
    for (let passed = 0; passed < seconds; passed += 3) {
      this.trueMs += 3000;
      kind = this.hear().kind;
    }
    return kind;
  }

  ask(): StatementAge {
    return this.hear(this.sign(), true);
  }
}

const secondMs = 1000;
const hourMs = 3_600_000;

describe("who is off by how much", () => {
  for (const [who, signerOffMs, proxyOffMs, joined, expected] of [
    ["nobody", 0, 0, true, "signed"],
    ["the proxy, 20 s ahead, joined", 0, 20 * secondMs, true, "signed"],
    ["the proxy, 20 s ahead, from disk", 0, 20 * secondMs, false, "late"],
    ["the proxy, 20 s behind, from disk", 0, -20 * secondMs, false, "signed"],
    ["the proxy, an hour ahead, joined", 0, hourMs, true, "signed"],
    ["the proxy, an hour behind, joined", 0, -hourMs, true, "signed"],
    ["the proxy, an hour behind, from disk", 0, -hourMs, false, "ahead"],
    ["the control plane, 50 s ahead", 50 * secondMs, 0, false, "signed"],
    ["the control plane, an hour ahead", hourMs, 0, false, "ahead"],
    ["the control plane, 10 s behind", -10 * secondMs, 0, false, "signed"],
  ] as const)
    test(`${who}: ${expected}, and signed once a control plane was asked`, () => {
      const world = new World();
      Object.assign(world, { signerOffMs, proxyOffMs });
      if (joined) world.ask();
      expect(world.run(9)).toBe(expected);
      world.ask();
      expect(world.run(9)).toBe("signed");
      expect(world.clocks.aheadMs(epochMs + world.trueMs + proxyOffMs, world.trueMs)).toBeCloseTo(
        proxyOffMs - signerOffMs,
        -2,
      );
    });

  test("a control plane that is an hour ahead for five seconds costs those seconds, and no more", () => {
    const world = new World();
    world.run(9);
    world.signerOffMs = hourMs;
    expect(world.run(6)).toBe("ahead");
    world.signerOffMs = 0;
    expect(world.run(3)).toBe("signed");
  });

  test("one that is 50 s ahead for five seconds counts, and so does the next with a smaller time", () => {
    const world = new World();
    world.run(9);
    world.signerOffMs = 50 * secondMs;
    expect(world.run(6)).toBe("signed");
    world.signerOffMs = 0;
    expect(world.run(3)).toBe("signed");
  });

  test("a clock that steps back under a running proxy changes nothing", () => {
    const world = new World();
    world.ask();
    world.run(9);
    world.proxyOffMs = -2 * hourMs;
    expect(world.run(3)).toBe("signed");
  });

  test("a key that is not trusted any more leaves nothing behind", () => {
    const world = new World();
    world.signerOffMs = 55 * secondMs;
    world.run(3);
    world.clocks.keepOnly(() => false);
    world.signerOffMs = 0;
    expect(world.run(3)).toBe("signed");
  });
});

describe("statements that are played again", () => {
  test("one that was heard has the time that it had", () => {
    const world = new World();
    world.ask();
    const old = world.sign();
    const first = world.hear(old);
    world.trueMs += 10 * secondMs;
    const again = world.hear(old);
    expect(first).toEqual({ kind: "signed", atMs: 0 });
    expect(again.kind === "signed" && again.atMs).toBeLessThanOrEqual(10);
  });

  test("one that was kept back for longer than it is valid does not count", () => {
    const world = new World();
    world.ask();
    const old = world.sign();
    world.run(30);
    expect(world.hear(old).kind).toBe("late");
  });

  test("however they are held back and mixed, nothing looks fresher than it is", () => {
    const step = fc.record({
      waitMs: fc.nat(20_000),
      pick: fc.nat(),
      stepProxyMs: fc.integer({ min: -hourMs, max: hourMs }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        world.ask();
        const signed: { trueMs: number; statement: ReturnType<World["sign"]> }[] = [];
        for (const { waitMs, pick, stepProxyMs } of steps) {
          world.trueMs += waitMs;
          world.proxyOffMs += stepProxyMs;
          signed.push({ trueMs: world.trueMs, statement: world.sign(pick % 2 === 0 ? "a" : "b") });
          const played = signed[pick % signed.length];
          if (played === undefined) continue;
          const age = world.hear(played.statement);
          if (age.kind !== "signed") continue;
          // drift allowance, and for a signer that was not heard before the time that a statement is valid
          const slackMs = 0.0005 * world.trueMs + 1 + (played.statement.kid === "b" ? validMs : 0);
          expect(age.atMs).toBeLessThanOrEqual(played.trueMs + slackMs);
        }
      }),
    );
  });
});

test("whatever the clocks did, statements count again after they keep still and a control plane was asked", () => {
  const jump = fc.record({
    seconds: fc.nat(60),
    signerOffMs: fc.integer({ min: -hourMs, max: hourMs }),
    proxyOffMs: fc.integer({ min: -hourMs, max: hourMs }),
    asks: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(jump, { maxLength: 20 }), (jumps) => {
      const world = new World();
      for (const { seconds, asks, ...off } of jumps) {
        Object.assign(world, off);
        world.run(seconds);
        if (asks) world.ask();
      }
      world.ask();
      for (let heard = 0; heard < 5; heard++) {
        world.trueMs += 3000;
        const age = world.hear();
        expect(age.kind === "signed" && age.atMs).toBeGreaterThan(world.trueMs - 100);
      }
    }),
  );
});

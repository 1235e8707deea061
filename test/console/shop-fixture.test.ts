/** The made-up mesh of the console's pictures says the same everywhere. */
import { expect, test } from "@jest/globals";
import { shopFixture } from "../support/console/shop-fixture.js";

for (const rollout of [true, false])
  test(`the active revision is one and the same ${rollout ? "while a rollout runs" : "without a rollout"}`, () => {
    const { unary } = shopFixture({ rollout });
    const ask = <T>(method: string): T => unary[method]?.({}) as T;
    const { revision } = ask<{ revision: number }>("GetStatus");
    const { revisions } = ask<{ revisions: { number: number; active: boolean }[] }>("ListRevisions");
    expect(revisions.filter(({ active }) => active).map(({ number }) => number)).toEqual([revision]);
    for (const method of ["GetRevision", "ListAccess", "CheckAccess", "GetConvergence"]) {
      const answer = ask<{ revision: number | { number: number } }>(method);
      const said = typeof answer.revision === "number" ? answer.revision : answer.revision.number;
      expect([method, said]).toEqual([method, revision]);
    }
    const { proxies } = ask<{ proxies: { active: boolean; revision: number }[] }>("ListProxies");
    const evaluated = proxies.filter(({ active }) => active).map((proxy) => proxy.revision);
    expect(evaluated.filter((one) => one === revision).length).toBeGreaterThan(evaluated.length / 2);
    expect(new Set(evaluated).size).toBe(rollout ? 2 : 1);
  });

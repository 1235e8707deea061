import { performance } from "node:perf_hooks";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import { Limiter, type OpenBudgets } from "../../core/limit/limiter.js";
import { SharedBudgets } from "../../core/limit/shared-budgets.js";
import { readFlags } from "../options.js";

readFlags(process.argv.slice(2), {
  text: `npm run bench:limits
What one check of the rate limits costs.`,
  example: "npm run bench:limits",
});

const checks = 1_000_000;
const base: Limit = {
  per: [],
  methods: ["*"],
  rate: { tokens: 10_000_000, periodMs: 1000 },
  burst: 10_000_000,
  costs: [],
  scope: "proxy",
  disconnected: undefined,
};
const perCaller: Limit = { ...base, per: ["caller"] };
const shared: Limit = { ...perCaller, scope: "mesh", disconnected: "share" };
const openShared: OpenBudgets = (limit, _identity, keysMax) =>
  new SharedBudgets(limit, keysMax, { members: 3, workers: 1 }, 0);

function measure(what: string, limits: readonly Limit[], keys: number, openBudgets?: OpenBudgets): void {
  const limiter = new Limiter(openBudgets);
  limiter.adopt([{ kind: "RateLimit", name: "bench", service: "s", limits }]);
  const calls = Array.from({ length: keys }, (_, index) => ({
    caller: `spiffe://demo/service/caller-${index}`,
    method: "bench.Echo/Unary",
    inputs: { header: () => undefined, claims: undefined },
  }));
  const run = (): number => {
    const startMs = performance.now();
    for (let i = 0; i < checks; i += 1) {
      const call = calls[(i * 7919) % keys];
      if (call !== undefined) limiter.check(call, i / 1000);
    }
    return ((performance.now() - startMs) * 1e6) / checks;
  };
  run();
  const best = Math.min(run(), run(), run());
  process.stdout.write(`| ${what} | ${best.toFixed(0)} |\n`);
}

process.stdout.write("| limits, keys | ns a check |\n|---|---|\n");
measure("none", [], 1);
measure("1 for the service", [base], 1);
measure("1 by caller, 10 callers", [perCaller], 10);
measure("10 by caller, 10 callers", Array<Limit>(10).fill(perCaller), 10);
measure("1 by caller, 100,000 callers", [perCaller], 100_000);
measure("1 by caller, 200,000 callers: every other call evicts", [perCaller], 200_000);
measure("1 by caller over the mesh, 10 callers", [shared], 10, openShared);

import { loadavg } from "node:os";
import { numberFlag, readFlags } from "../options.js";
import { machine } from "../proxy/contenders.js";
import { measureActivationLag } from "./activation-lag.js";
import { measureCallsAcross } from "./calls-across.js";
import { measureChangedBytes } from "./changed-bytes.js";
import { measureFanOut } from "./fan-out.js";
import { measureRollbackTime } from "./rollback-time.js";
import { measureRouteChanges } from "./route-change.js";
import { simulateFleet } from "./simulated-fleet.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:convergence -- [--quick] [--only p5 fan-out simulated p6 p7 p8 routes] [--subscribers 200] [--processes 4]
  [--sizes 20 10000] [--rounds 20] [--changed-sizes 10 100 1000 10000] [--proxies 10000] [--fan-out-us 25] [--activations 1000] [--rate 500]
How soon an activation or a rollback is in force everywhere, and what it costs: P5 to P8; and routes: a change of one as its callers see it, beside Envoy.`,
  example: "npm run bench:convergence -- --quick --only p7",
});
const quick = flags.has("quick");
const only = flags.get("only");
const number = (name: string, whole: number, small: number): number => numberFlag(flags, name, quick ? small : whole);
const rounds = number("rounds", 20, 6);
const listOf = (name: string, whole: readonly number[], small: readonly number[]): readonly number[] =>
  flags.get(name)?.map(Number) ?? (quick ? small : whole);

const parts: Readonly<Record<string, () => void | Promise<void>>> = {
  p5: () =>
    measureActivationLag({
      subscribers: number("subscribers", 200, 20),
      processes: number("processes", 4, 2),
      sizes: listOf("sizes", [20, 10_000], [20, 1000]),
      rounds,
    }),
  "fan-out": () => measureFanOut({ sizes: quick ? [200] : [200, 2000], rounds: quick ? 10 : 40 }),
  simulated: () =>
    simulateFleet({
      proxies: number("proxies", 10_000, 10_000),
      activations: quick ? 2 : 10,
      fanOutUs: numberFlag(flags, "fan-out-us", 25),
    }),
  p6: () =>
    measureChangedBytes({
      sizes: listOf("changed-sizes", [10, 100, 1000, 10_000], [10, 1000]),
      rounds: quick ? 3 : 5,
    }),
  p7: () => measureRollbackTime({ proxies: quick ? 3 : 5, rounds }),
  p8: () => measureCallsAcross({ activations: number("activations", 1000, 50), rate: number("rate", 500, 200) }),
  routes: () =>
    measureRouteChanges({ rounds, changes: number("activations", 1000, 50), rate: number("rate", 500, 200) }),
};

console.log(`${machine()}, load average ${loadavg()[0]?.toFixed(1)}`);
for (const [name, run] of Object.entries(parts)) {
  if (only !== undefined && !only.includes(name)) continue;
  try {
    await run();
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

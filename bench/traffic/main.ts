import { loadavg } from "node:os";
import { numberFlag, readFlags } from "../options.js";
import { machine } from "../proxy/contenders.js";
import { measureBudget } from "./budget.js";
import { measureChanges } from "./changes.js";
import { measureEjection } from "./ejection.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:traffic -- [--quick] [--only changes budget ejection] [--activations 1000] [--seconds 20] [--rounds 3]
Calls across changes of routes and authorization, retries against their budget, and how soon a hung instance gets no calls.`,
  example: "npm run bench:traffic -- --only changes --activations 100",
});
const quick = flags.has("quick");
const only = flags.get("only");

const parts: Readonly<Record<string, () => Promise<void>>> = {
  changes: () => measureChanges(numberFlag(flags, "activations", quick ? 50 : 1000)),
  budget: () => measureBudget(quick ? [200] : [100, 500, 1500], numberFlag(flags, "seconds", quick ? 5 : 20)),
  ejection: () => measureEjection(numberFlag(flags, "rounds", quick ? 1 : 3)),
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

import { loadavg } from "node:os";
import { endAfter } from "../../test/conformance/when-killed.js";
import { numberFlag, readFlags } from "../options.js";
import { machine } from "../proxy/contenders.js";
import { measureBudget } from "./budget.js";
import { measureChanges } from "./changes.js";
import { measureEjection } from "./ejection.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:traffic -- [--quick] [--only changes budget ejection] [--activations 1000] [--seconds 20] [--rounds 3] [--minutes 30]
Calls across changes of routes and authorization, retries against their budget, and how soon a hung instance gets no calls.
On an idle machine the changes take about five minutes, the budget two and the ejection five; each row is printed when it is
measured. After --minutes it gives up, with 1.`,
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
let part = "";
endAfter(numberFlag(flags, "minutes", 30), () => part);
for (const [name, run] of Object.entries(parts)) {
  if (only !== undefined && !only.includes(name)) continue;
  part = name;
  try {
    await run();
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

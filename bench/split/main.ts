import { renderTarget } from "../../core/kinds/route/targets.js";
import { chooseAmong } from "../../core/route/choose-target.js";
import { numberFlag, readFlags } from "../options.js";
import { printTable } from "../proxy/contenders.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:split -- [--calls 100000]
How near the shares of a split come to its weights: calls that are drawn, and calls with as many distinct sticky keys.`,
  example: "npm run bench:split",
});
const calls = numberFlag(flags, "calls", 100_000);
const endpoints = ["v1", "v2"].map((version) => ({ version, labels: [] }));

/** Returns the version that each of many calls gets while v2 has a weight of `weight` percent. */
function versions(weight: number, isSticky: boolean): readonly string[] {
  const split = [
    { version: "v1", weight: 100 - weight },
    { version: "v2", weight },
  ];
  const rule = { split, targets: split.map(renderTarget), failsWhenEmpty: false };
  return Array.from({ length: calls }, (_, index) => {
    const key = isSticky ? `user-${index}` : undefined;
    const choice = chooseAmong(rule, { service: "payments", draw: Math.random(), key }, endpoints);
    return choice.kind === "target" ? choice.target.version : "";
  });
}

const percentOfV2 = (all: readonly string[]): number =>
  (100 * all.filter((version) => version === "v2").length) / all.length;

let before: readonly string[] | undefined;
let worst = 0;
let backInAll = 0;
const rows = [1, 5, 10, 25, 50, 75, 90, 99].map((weight) => {
  const drawn = percentOfV2(versions(weight, false));
  const sticky = versions(weight, true);
  const back = before?.filter((version, index) => version === "v2" && sticky[index] !== "v2").length ?? 0;
  before = sticky;
  const shares = [drawn, percentOfV2(sticky)];
  worst = Math.max(worst, ...shares.map((share) => Math.abs(share - weight)));
  backInAll += back;
  return [`${weight} %`, ...shares.map((share) => `${share.toFixed(2)} %`), String(back)];
});
console.log(`${calls} calls, and ${calls} distinct keys, for each weight of v2\n`);
printTable(["weight of v2", "drawn", "sticky", "keys that went back from v2 as its weight grew"], rows);
const isMet = worst <= 1 && backInAll === 0;
console.log(
  `\nfurthest off: ${worst.toFixed(2)} points (aim: 1), back: ${backInAll} (aim: 0): ${isMet ? "met" : "missed"}`,
);
process.exitCode = isMet ? 0 : 1;

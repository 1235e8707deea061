import { numberFlag, readFlags } from "../options.js";
import { ashlar, casbin, cedarWasm, type Decide, type Engine } from "./engines.js";
import { makeQuestions, makeRules, type Question } from "./rules.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:decisions -- [--rounds 5] [--seconds 0.4]
Decisions a second with rules of all kinds: of the compiled policy, and of Cedar (wasm) and
casbin on the same ones in turn in the same process (P4); medians of rounds. A wrong verdict ends it with 1.`,
  example: "npm run bench:decisions -- --rounds 3",
});
const rounds = numberFlag(flags, "rounds", 5);
const seconds = numberFlag(flags, "seconds", 0.4);
/**
 * The number of pairs of caller and method, as many as a proxy sees often. More than fit would measure refills of the
 * cache.
 */
const questionsCount = 1000;

/** Returns the microseconds per decision. */
function measure(decide: Decide, questions: readonly Question[]): number {
  const endMs = performance.now() + seconds * 1000;
  const startMs = performance.now();
  let decided = 0;
  let wrong = 0;
  do {
    // A slow engine must not overshoot its time by a whole pass.
    const batch = decided < 10 ? 1 : Math.max(1, Math.min(questions.length, Math.round(decided / 4)));
    for (let i = 0; i < batch; i++) {
      const question = questions[(decided + i) % questions.length] as Question;
      if (decide(question) !== question.expected) wrong += 1;
    }
    decided += batch;
  } while (performance.now() < endMs);
  if (wrong > 0) throw new Error(`${wrong} of ${decided} verdicts were wrong`);
  return ((performance.now() - startMs) * 1000) / decided;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

interface Line {
  readonly rules: number;
  readonly withCondition: boolean;
  readonly engines: readonly Engine[];
}

const lines: readonly Line[] = [
  { rules: 10, withCondition: false, engines: [ashlar, cedarWasm, casbin] },
  { rules: 1000, withCondition: false, engines: [ashlar, cedarWasm, casbin] },
  { rules: 10_000, withCondition: false, engines: [ashlar] },
  { rules: 10, withCondition: true, engines: [ashlar, cedarWasm, casbin] },
  { rules: 200, withCondition: true, engines: [ashlar, cedarWasm, casbin] },
];

console.log("| rules | condition | engine | µs a decision | decisions/s | times ashlar |");
console.log("|---|---|---|---|---|---|");
for (const { rules, withCondition, engines } of lines) {
  const said = makeRules(rules);
  const questions = makeQuestions(said, questionsCount);
  const prepared: { readonly name: string; readonly decide: Decide; readonly times: number[] }[] = [];
  for (const { name, prepare } of engines)
    prepared.push({ name, decide: await prepare(said, withCondition), times: [] });
  for (let round = 0; round <= rounds; round++) {
    for (const { decide, times } of prepared) {
      const time = measure(decide, questions);
      if (round > 0) times.push(time); // the first round warms up
    }
  }
  const own = median(prepared[0]?.times ?? []);
  for (const { name, times } of prepared) {
    const time = median(times);
    const rate = Math.round(1e6 / time).toLocaleString("en");
    const factor = (time / own).toFixed(0);
    console.log(
      `| ${rules} | ${withCondition ? "CEL" : "none"} | ${name} | ${time.toPrecision(3)} | ${rate} | ${factor} |`,
    );
  }
}

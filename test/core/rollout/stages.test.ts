import { describe, expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import { gatesDefault, setGate } from "../../../core/rollout/gates.js";
import { parseStages, renderStage } from "../../../core/rollout/stages.js";

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof AshlarError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
}

describe("stages", () => {
  test("numbers, shares and labels are read and rendered as they were written", () => {
    const text = "1,5:30s,label:canary=true,label:slot=a:b:5m,0.5%:1500ms,10%:24h,100%";
    expect(parseStages(text).map(renderStage).join()).toBe(text);
    expect(parseStages("1:0s,10%:2m,label:a=b:1d,100%")).toEqual([
      { kind: "count", count: 1, holdMs: 0 },
      { kind: "percent", basisPoints: 1000, holdMs: 120_000 },
      { kind: "label", key: "a", value: "b", holdMs: 86_400_000 },
      { kind: "percent", basisPoints: 10_000 },
    ]);
    expect(parseStages("100%")).toEqual([{ kind: "percent", basisPoints: 10_000 }]);
  });

  test.each([
    ["1,10%", /the last stage has to be 100%, not 10%/],
    ["1", /the last stage has to be 100%, not 1/],
    ["", /expected a number of proxies/],
    ["10%,5%,100%", /have to grow: 5% comes after 10%/],
    ["5,5,100%", /have to grow: 5 comes after 5/],
    ["100%,100%", /have to grow: 100% comes after 100%/],
    ["10%,5,100%", /5 comes after a share/],
    ["0,100%", /1 to 1000, got 0/],
    ["1001,100%", /1 to 1000, got 1001/],
    ["0%,100%", /0.01% to 100%/],
    ["101%", /0.01% to 100%/],
    ["1:8d,100%", /1:192h: a stage holds for 7d at most/],
    ["1,100%:5m", /the last stage ends the rollout and holds for no time/],
    ["1:5,100%", /got "1:5"/],
    [":5m,100%", /got ":5m"/],
    ["half,100%", /got "half"/],
    ["label:canary,100%", /got "label:canary"/],
    [`${"label:a=b,".repeat(32)}100%`, /1 to 32 stages, got 33/],
  ])("%j is refused and says why", (text, why) => {
    expect(refusal(() => parseStages(text))).toMatch(/^invalid_argument: stages: /);
    expect(refusal(() => parseStages(text))).toMatch(why);
  });
});

describe("gates", () => {
  test.each([
    ["samples=100", { samples: 100 }],
    ["samples=off", { samples: 0 }],
    ["members=3", { members: 3 }],
    ["refused=2.5%", { refused: { timesPercent: 150, moreBasisPoints: 250 } }],
    ["failed=off", { failed: undefined }],
    ["latency=3x", { latency: { timesPercent: 300, moreMs: 10 } }],
    ["lag=5s", { lagMs: 5000 }],
    ["rejections=off", { rejections: false }],
    ["predicted=on", { predicted: true }],
  ])("%s sets one gate and leaves the others", (text, parts) => {
    expect(setGate(gatesDefault, text)).toEqual({ ...gatesDefault, ...parts });
  });

  test.each([
    ["refused=2", /refused: expected a share/],
    ["latency=0.5x", /latency: expected how many times/],
    ["lag=soon", /lag: expected a duration/],
    ["samples=-1", /samples: expected a number/],
    ["colour=red", /expected one of members=/],
    ["members", /expected one of members=/],
  ])("%j is refused and says why", (text, why) => {
    expect(refusal(() => setGate(gatesDefault, text))).toMatch(why);
  });
});

/** The examples do what they say: each asserts its claims with real processes, and leaves with 0 only if they held. */
import { execFile } from "node:child_process";
import { expect, test } from "@jest/globals";

const runMs = 120_000;

function run(example: string): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`dist/examples/${example}/main.js`], { timeout: runMs }, (error, out, text) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, text: `${out}${text}` });
    });
  });
}

test.each([
  ["canary", "a sticky canary, an API that moves by rewrite, and back", "none failed"],
  ["edge", "open to pages and curl, by policy, and closed again", "none failed"],
  ["blue-green", "everybody at once, by one activation, and back", "none failed"],
  ["ledger", "booked once, in order; another data model by replay, and back", "each is in the books once"],
])(
  "examples/%s: %s",
  async (example, _title, claim) => {
    const { code, text } = await run(example);
    expect(text).toContain(claim);
    expect({ code, text }).toEqual({ code: 0, text: expect.anything() });
  },
  runMs + 10_000,
);

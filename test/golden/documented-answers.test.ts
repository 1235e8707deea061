/** docs/answers.md says of every reason for which a proxy answers a call itself what to do. */
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { answerReasons } from "../../data-plane/proxy/answer.js";

test("each reason has a row, and each row a reason", () => {
  const [page = ""] = readFileSync("docs/answers.md", "utf8").split("## Headers of the mesh's own");
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)];
  expect([...new Set(rows.map(([, reason]) => reason))].sort()).toEqual([...answerReasons].sort());
});

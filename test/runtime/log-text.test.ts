import { expect, test } from "@jest/globals";
import { renderLogLine } from "../../runtime/log-text.js";

test("a line for people has time, level, who, what, and the fields without a stack", () => {
  const line = { level: 40, time: Date.UTC(2026, 0, 2, 3, 4, 5), name: "proxy payments", port: 7, why: "no route" };
  const text = renderLogLine(JSON.stringify({ ...line, stack: "Error\n  at x", empty: "", msg: "cannot join" }));
  expect(text).toBe('03:04:05 warn  proxy payments: cannot join port=7 why="no route"\n');
});

test("what a terminal would obey is not passed on", () => {
  const text = renderLogLine(JSON.stringify({ level: 30, time: 0, name: "a", msg: "x\u001b[2J", y: "\u001b[0m" }));
  expect(text).toBe('00:00:00 info  a: x [2J y="\\u001b[0m"\n');
});

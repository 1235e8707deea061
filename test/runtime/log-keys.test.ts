import { expect, test } from "@jest/globals";
import { createLoggerTo } from "../../runtime/log.js";

function lines(level: "info" | "debug" = "info") {
  const written: string[] = [];
  return { written, log: createLoggerTo({ write: (line) => void written.push(line) }, { level, name: "proxy a" }) };
}

/** The keys of a flat JSON object as they stand there: JSON.parse would hide a second one. */
const keysOf = (line: string): string[] => [...line.matchAll(/[{,]"([^"]+)":/g)].map(([, key]) => key ?? "");

test("a line of JSON has no key twice, whatever fields a call or a child has", () => {
  const { written, log } = lines();
  const all = { name: 1, level: 2, time: 3, msg: 4, pid: 5, hostname: 6, service: 7 };
  log.info("one", all);
  log
    .child(all)
    .child({ service: 8 })
    .warn("two", { ...all, service: 9 });
  for (const line of written) expect(new Set(keysOf(line)).size).toBe(keysOf(line).length);
  expect(JSON.parse(written[0] ?? "")).toMatchObject({ name: "proxy a", msg: "one", field_name: 1, field_msg: 4 });
  expect(JSON.parse(written[1] ?? "")).toMatchObject({ name: "proxy a", msg: "two", field_level: 2, service: 9 });
});

test("a level that is not logged writes nothing", () => {
  const { written, log } = lines();
  log.child({ a: 1 }).debug("no");
  expect(written).toEqual([]);
});

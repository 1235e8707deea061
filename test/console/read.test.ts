/** What the console reads of answers: proto3 JSON, and only fields that the contract has. */
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import protobuf from "protobufjs";
import * as messages from "../../console/api/messages.js";
import { list, maybe, message, number, text, truth } from "../../console/api/read.js";
import * as records from "../../console/api/record-messages.js";
import * as looks from "../../console/api/traffic-messages.js";

test("fields that proto3 JSON leaves out have their defaults", () => {
  const read = message({ name: text, epoch: number, live: truth, ids: list(number), clock: maybe(number) });
  expect(read({})).toEqual({ name: "", epoch: 0, live: false, ids: [], clock: undefined });
  expect(read({ name: "a", epoch: "12", live: true, ids: ["1", 2], clock: 0 })).toEqual({
    name: "a",
    epoch: 12,
    live: true,
    ids: [1, 2],
    clock: 0,
  });
});

test("what is of another type counts as missing", () => {
  const read = message({ name: text, epoch: number, live: truth, ids: list(text) });
  const nothing = { name: "", epoch: 0, live: false, ids: [] };
  for (const json of [undefined, null, 7, "x", { name: {}, epoch: "many", live: "yes", ids: "no list" }])
    expect(read(json)).toEqual(nothing);
});

/** The messages of the contract, by name. */
function contract(): protobuf.Root {
  const root = new protobuf.Root();
  for (const name of ["admin", "audit", "decision", "trust", "journal", "fleet", "records", "look", "console"])
    protobuf.parse(readFileSync(`proto/ashlar/v1/${name}.proto`, "utf8"), root, { keepCase: false });
  return root;
}

/** Names in the contract of what the console calls otherwise. */
const otherNames: Readonly<Record<string, string>> = {
  status: "GetStatusResponse",
  checkedAccess: "CheckAccessResponse",
  watchedTraffic: "WatchTrafficResponse",
  tapBatch: "TapCallsResponse",
};

test("the contract has every field that the console reads", () => {
  const root = contract();
  const missing: string[] = [];
  for (const [name, reader] of Object.entries({ ...messages, ...records, ...looks })) {
    const type = root.lookupType(`ashlar.v1.${otherNames[name] ?? name.charAt(0).toUpperCase() + name.slice(1)}`);
    const known = new Set(Object.keys(type.fields));
    for (const field of (reader as { fields: readonly string[] }).fields) {
      if (!known.has(field)) missing.push(`${type.name}.${field}`);
    }
  }
  expect(missing).toEqual([]);
});

import { expect, test } from "@jest/globals";
import { fieldName } from "../../../data-plane/http2/field-names.js";
import { dropReserved } from "../../../data-plane/http2/reserved-fields.js";
import { blockOf, goodRequest, listOf } from "./raw-peer.js";

const prefixes = ["ashlar-", "x-forwarded-"];

test("check 21: names of the mesh's own and x-forwarded-* go, known to the engine or not; the rest stays", () => {
  const block = blockOf([
    ...goodRequest,
    ["ashlar-caller", "spiffe://m/service/root"],
    ["ashlar-anything", "1"],
    ["x-forwarded-client-cert", "By=me"],
    ["x-forwarded", "stays"],
    ["ashlar", "stays"],
  ]);
  expect(dropReserved(block, prefixes)).toBe(3);
  expect(listOf(block)).toEqual([...goodRequest, ["x-forwarded", "stays"], ["ashlar", "stays"]]);
});

test("what a peer proxy may say in a response can be kept", () => {
  const block = blockOf([
    ["grpc-status", "7"],
    ["ashlar-revision", "4"],
    ["ashlar-decision", "d"],
    ["ashlar-epoch", "9"],
  ]);
  expect(dropReserved(block, prefixes, [fieldName.ashlarRevision, fieldName.ashlarDecision])).toBe(1);
  expect(block.find(fieldName.ashlarEpoch)).toBe(-1);
  expect(block.find(fieldName.ashlarRevision)).toBe(1);
});

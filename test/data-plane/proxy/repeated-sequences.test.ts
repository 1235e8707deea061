/** A call that names two sequences of writes: its application gets neither. */
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ProxyPair } from "../../support/proxy-pair.js";

let pair: ProxyPair;
let seen: Metadata;

beforeAll(async () => {
  pair = await ProxyPair.start({
    Unary(call, callback) {
      seen = call.metadata;
      callback(null, Buffer.alloc(0));
    },
  });
});

afterAll(() => pair?.stop());

test.each(["ashlar-after-sequence", "ashlar-expected-sequence"])("%s twice reaches no application", async (name) => {
  for (const values of [["7", "8"], ["7", "8"], ["9"]]) {
    const metadata = new Metadata();
    for (const value of values) metadata.add(name, value);
    const { error } = await pair.client().unary(Buffer.alloc(0), metadata);
    expect([error, seen.get(name)]).toEqual([undefined, []]);
  }
});

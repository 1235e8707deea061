/** What should never fail while a streamed request is appended is told to its caller, and ends nothing else. */
import { type handleClientStreamingCall, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { Journal as OpenJournal } from "../../../data-plane/journal/journal.js";
import { StreamingRequest } from "../../../data-plane/journal/streaming-request.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

let nats: JournalNats;
let pair: ProxyPair;
let journal: OpenJournal;

const answering: handleClientStreamingCall<Buffer, Buffer> = (call, done) => {
  call.on("data", () => {});
  call.on("end", () => done(null, Buffer.from("done")));
};

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  pair = await ProxyPair.start({ ClientStream: answering });
  journal = nats.open(pair.callee.policy, "p1");
  pair.callee.journal = journal;
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

function send(): Promise<ServiceError | null> {
  return new Promise((resolve) => {
    const call = pair.client().clientStream((error) => resolve(error), new Metadata());
    for (const message of ["one", "two"]) call.write(Buffer.from(message));
    call.end();
  });
}

test.each(["before", "after"] as const)("in mode %s", async (mode) => {
  const kept = { response: "bytes", idempotencyKey: undefined, orderBy: undefined, streamBytesMax: 65_536 } as const;
  pair.callee.policy.switchTo(
    buildPolicy(2, [{ service: "bytes", allow: [everyone], journal: { mode, ...kept }, idempotent: [] }]),
  );
  const failing = jest.spyOn(StreamingRequest.prototype, "run").mockRejectedValue(new Error("it should not"));
  const error = await send();
  expect([error?.code, error?.details]).toEqual([status.UNAVAILABLE, expect.stringContaining("internal error")]);
  failing.mockRestore();
  expect(await send()).toBeNull();
  await eventually("nothing is left", () => journal.open === 0 && journal.room.bytes === 0);
});

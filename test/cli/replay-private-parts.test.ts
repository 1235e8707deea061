/** What a replay restores of private fields, with one holder's key. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { NotRestored, restored } from "../../cli/journal-replay/private-parts.js";
import { cutFrames, cutsOf } from "../../core/journal/private/cut.js";
import { holderOf, keyedDigest, sealPart, wrapKey } from "../../core/journal/private/keys.js";
import { renderDataKey, renderPrivate } from "../../core/wire/journal/private.js";
import { type ReplayedWrite, ReplayJournalResponse } from "../../proto/gen/ashlar/v1/admin.js";

const subject = "ab".repeat(16);
const keyId = "cd".repeat(16);
/** A framed message whose field 2 is "ada". */
const whole = Buffer.from([0, 0, 0, 0, 5, 0x12, 3, ...Buffer.from("ada")]);
const newHolder = () => generateKeyPairSync("x25519").privateKey;

/** A write of which field 2 was cut out for a holder. */
function write(sequence: number, holder: string): ReplayJournalResponse {
  const { stored, edits = new Uint8Array() } = cutFrames(whole, cutsOf([[2]]));
  const [key, salt, nonce] = [randomBytes(32), randomBytes(32), randomBytes(16)];
  const place = { service: "ledger", keyId };
  const sealed = sealPart(edits, key, { ...place, part: "request", nonce }, randomBytes(12));
  const request = renderPrivate({ subject, keyId, sealed, digest: keyedDigest(salt, "request", randomBytes(32)) });
  const wrapped = wrapKey(key, holder, place, randomBytes(32));
  const record = renderDataKey({ ...place, subject, salt, holder, wrapped, timeMs: 5 });
  const value: Partial<ReplayedWrite> = { sequence, request: Buffer.from(stored), responseKept: true };
  const parts = { nonce, request, response: undefined, key: record };
  return ReplayJournalResponse.fromPartial({ message: { $case: "write", value: { ...value, parts } } });
}

async function* given(...parts: readonly ReplayJournalResponse[]): AsyncGenerator<ReplayJournalResponse> {
  yield* parts;
}

test("writes for another holder are left out and counted, and do not keep the holder's own from being sent", async () => {
  const [own, former] = [newHolder(), newHolder()];
  const notRestored = new NotRestored();
  const sent: [number, Buffer][] = [];
  const messages = given(write(1, holderOf(former)), write(2, holderOf(own)));
  for await (const { message } of restored(messages, own, notRestored))
    if (message?.$case === "write") sent.push([message.value.sequence, message.value.request]);
  expect(sent).toEqual([[2, whole]]);
  expect(notRestored.entries).toEqual([1]);
});

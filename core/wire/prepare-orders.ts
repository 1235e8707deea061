/** Orders to prepare a revision that is about to be activated (decision 0060). */
import { PrepareOrder as PrepareOrderMessage } from "../../proto/gen/ashlar/v1/records.js";
import { digestFromBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import type { PrepareOrder, Signed } from "../model.js";
import type { KeySet, Signer } from "../signature.js";
import { integer } from "./bounds.js";
import { digestToBuffer, payloadBytesMax, type RecordCodec, signWith, verifyWith } from "./record-codec.js";
import { decodeStrict, reading } from "./strict.js";

/** The longest validity of an order, in milliseconds. */
export const orderValidMsMax = 60_000;

const orderCodec: RecordCodec<PrepareOrder> = {
  type: "ashlar-prepare",
  encode: ({ revision, issuedMs, expiresMs }) =>
    PrepareOrderMessage.encode({
      revisionNumber: revision.number,
      revisionDigest: digestToBuffer(revision.digest),
      issuedMs,
      expiresMs,
    }).finish(),
  parse: (payload) => {
    const message = decodeStrict(PrepareOrderMessage, payload, "ashlar-prepare", payloadBytesMax);
    return reading("ashlar-prepare", () => {
      const issuedMs = integer("issued_ms", message.issuedMs, 0);
      const expiresMs = integer("expires_ms", message.expiresMs, issuedMs);
      if (expiresMs - issuedMs > orderValidMsMax)
        throw new AshlarError("invalid_record", `it is valid for more than ${orderValidMsMax} ms`);
      const digest = digestFromBytes(message.revisionDigest);
      return {
        revision: { number: integer("revision_number", message.revisionNumber, 1), digest },
        issuedMs,
        expiresMs,
      };
    });
  },
};

/** Signs an order. Fails with `invalid_record`. */
export function signPrepareOrder(order: PrepareOrder, mesh: string, signer: Signer): Signed<PrepareOrder> {
  return signWith(orderCodec, order, mesh, signer);
}

/** Verifies and then parses an order. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown. */
export function verifyPrepareOrder(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<PrepareOrder> {
  return verifyWith(orderCodec, bytes, mesh, keys);
}

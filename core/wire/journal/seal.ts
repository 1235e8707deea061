/**
 * Control planes seal the stored messages in their order. Whoever changes, removes, moves or inserts a message would
 * have to sign a new seal.
 */
import { hash } from "node:crypto";
import { JournalSeal as SealMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import { type Digest, digestFromBytes } from "../../digest.js";
import type { Signed } from "../../model.js";
import type { KeySet, Signer } from "../../signature.js";
import { integer, label, link } from "../bounds.js";
import {
  digestToBuffer,
  optionalDigest,
  payloadBytesMax,
  type RecordCodec,
  signWith,
  verifyWith,
} from "../record-codec.js";
import { decodeStrict, reading } from "../strict.js";

export interface JournalSeal {
  readonly service: string;
  readonly number: number;
  /** The digest of the previous seal; undefined for the first. */
  readonly previous: Digest | undefined;
  readonly from: number;
  readonly through: number;
  readonly chain: Digest;
  readonly messages: number;
  readonly timeMs: number;
}

/** A message as it is stored in the journal's stream. */
export interface SealedMessage {
  readonly sequence: number;
  readonly subject: string;
  /** The statement in the message's header; "": it has none. */
  readonly statement: string;
  readonly data: Uint8Array;
}

const type = "ashlar-journal-seal";
/** A sequence and three hashes. */
const linkBytes = 8 + 3 * 32;
const chainBegins = Buffer.from("ashlar-journal-chain-v1\0");

/** Returns the part of a message that the hash chain covers. */
export function linkOf({ sequence, subject, statement, data }: SealedMessage): Uint8Array {
  const link = Buffer.allocUnsafe(linkBytes);
  link.writeUInt32BE(Math.floor(sequence / 2 ** 32), 0);
  link.writeUInt32BE(sequence % 2 ** 32, 4);
  // in hexadecimal, since a text is cheaper to get out of the hash than bytes are
  link.write(hash("sha256", subject, "hex"), 8, "hex");
  link.write(hash("sha256", statement, "hex"), 40, "hex");
  link.write(hash("sha256", data, "hex"), 72, "hex");
  return link;
}

/** Returns the hash chain after one more message; `before` is the chain before it, undefined for the first message. */
export function chainWith(before: Digest | undefined, link: Uint8Array): Digest {
  return hash("sha256", Buffer.concat([chainBegins, digestToBuffer(before), link]), "hex") as Digest;
}

const codec: RecordCodec<JournalSeal> = {
  type,
  encode: (body) =>
    SealMessage.encode({
      ...body,
      previous: digestToBuffer(body.previous),
      chain: digestToBuffer(body.chain),
    }).finish(),
  parse(payload) {
    const message = decodeStrict(SealMessage, payload, type, payloadBytesMax);
    return reading(type, () => {
      const from = integer("from", message.from, 1);
      return {
        service: label("service", message.service),
        number: integer("number", message.number, 1),
        previous: link("previous", message.number, optionalDigest(message.previous)),
        from,
        through: integer("through", message.through, from),
        chain: digestFromBytes(message.chain),
        messages: integer("messages", message.messages, 0),
        timeMs: integer("time_ms", message.timeMs, 0),
      };
    });
  },
};

export const signSeal = (body: JournalSeal, mesh: string, signer: Signer): Signed<JournalSeal> =>
  signWith(codec, body, mesh, signer);

/** Verifies and then parses a seal. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown. */
export const verifySeal = (bytes: Uint8Array, mesh: string, keys: KeySet): Signed<JournalSeal> =>
  verifyWith(codec, bytes, mesh, keys);

/**
 * Messages of a proxy that gives back what a control plane lost (decision 0014). Their content is not trusted: records
 * are verified by signature and units by digest.
 */
import { createHash } from "node:crypto";
import { OfferContent as OfferContentMessage } from "../../proto/gen/ashlar/v1/join.js";
import { type Digest, digestFromBytes, digestToBytes } from "../digest.js";
import { boundedList, integer } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

/** A signed record that the proxy holds, by its number, epoch or sequence. */
export interface HeldRecord {
  readonly key: number;
  readonly digest: Digest;
}

export const offeredLogs = ["trust", "activations", "revisions", "rollouts"] as const;
export type OfferedLog = (typeof offeredLogs)[number];

/** Everything that a proxy holds, newest first. */
export interface HeldParts extends Readonly<Record<OfferedLog, readonly HeldRecord[]>> {
  /** The digests of units and snapshot lists. */
  readonly blobs: readonly Digest[];
}

/** All or a part of a record or unit that was asked for. */
export interface OfferedPiece {
  readonly digest: Digest;
  /** The size of the whole record or unit, in bytes. */
  readonly size: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

export interface OfferContent {
  /** Set in the first step only. */
  readonly held: HeldParts | undefined;
  readonly pieces: readonly OfferedPiece[];
  /** The digests that were asked for and that the proxy does not have. */
  readonly absent: readonly Digest[];
}

/** The most records of each log, and the most blobs, that a proxy keeps and offers. */
export const heldMax: Readonly<Record<OfferedLog | "blobs", number>> = {
  trust: 64,
  activations: 256,
  revisions: 256,
  rollouts: 64,
  blobs: 256,
};
/** The most bytes of all pieces in one step. */
export const piecesBytesMax = 48 * 1024;
/** The most bytes of a step, which must fit into a message of the join listener together with certificates. */
const offerBytesMax = 52 * 1024;
/** The most digests that are asked for at once. */
export const wantedMax = 64;
/** The most bytes of a record or unit that is given back, set by the list of a snapshot. */
const offeredBytesMax = 8 * 1024 * 1024;

const toBuffer = (digest: Digest): Buffer => Buffer.from(digestToBytes(digest));

/** Returns the bytes that the holder of a certificate signs for a step. */
export function offerSigningBytes(nonce: Uint8Array, content: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from("ashlar-offer-v1", "ascii"), nonce, createHash("sha256").update(content).digest()]);
}

export function encodeOfferContent({ held, pieces, absent }: OfferContent): Uint8Array {
  const records = (list: readonly HeldRecord[]) => list.map(({ key, digest }) => ({ key, digest: toBuffer(digest) }));
  return OfferContentMessage.encode({
    held: held && {
      trust: records(held.trust),
      activations: records(held.activations),
      revisions: records(held.revisions),
      rollouts: records(held.rollouts),
      blobs: held.blobs.map(toBuffer),
    },
    pieces: pieces.map((piece) => ({ ...piece, digest: toBuffer(piece.digest), data: Buffer.from(piece.data) })),
    absent: absent.map(toBuffer),
  }).finish();
}

/** Parses the content of an offer. Fails with `invalid_record` or `limit`. */
export function parseOfferContent(bytes: Uint8Array): OfferContent {
  const message = decodeStrict(OfferContentMessage, bytes, "offer", offerBytesMax);
  return reading("offer", () => ({
    held: message.held && parseHeld(message.held),
    pieces: boundedList("pieces", message.pieces, wantedMax).map((piece) => {
      const size = integer("pieces.size", piece.size, 1, offeredBytesMax);
      return {
        digest: digestFromBytes(piece.digest),
        size,
        offset: integer("pieces.offset", piece.offset, 0, size - piece.data.length),
        data: new Uint8Array(piece.data),
      };
    }),
    absent: boundedList("absent", message.absent, wantedMax).map(digestFromBytes),
  }));
}

type HeldMessage = NonNullable<OfferContentMessage["held"]>;

function parseHeld(message: HeldMessage): HeldParts {
  const records = (log: OfferedLog): readonly HeldRecord[] =>
    boundedList(log, message[log], heldMax[log]).map(({ key, digest }) => ({
      key: integer(`${log}.key`, key, 1),
      digest: digestFromBytes(digest),
    }));
  return {
    trust: records("trust"),
    activations: records("activations"),
    revisions: records("revisions"),
    rollouts: records("rollouts"),
    blobs: boundedList("blobs", message.blobs, heldMax.blobs).map(digestFromBytes),
  };
}

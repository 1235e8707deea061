/**
 * The signed envelope of what a proxy says of itself (decision 0026): it stands in a header beside the message, so that
 * a reader of an older version still reads the message. Nothing of the message is parsed before its signature holds
 * (I3), and what the signature is over names kind, mesh and certificate.
 */
import { hash, type KeyObject, sign, verify } from "node:crypto";
import { Statement as StatementMessage } from "../../proto/gen/ashlar/v1/fleet.js";
import { AshlarError } from "../errors.js";
import { boundedList, integer } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

/** The NATS header that has it. */
export const statementHeader = "Ashlar-Statement";

const statementKinds = ["endpoint", "heartbeat", "limits", "decision", "journal", "journal-batch", "look"] as const;
export type StatementKind = (typeof statementKinds)[number];

/** The envelope alone: nothing in it is believed until the signature holds. */
export interface Statement {
  /** Only grows, over everything that a proxy says. */
  readonly counter: number;
  /** Unix time in milliseconds. */
  readonly timeMs: number;
  /** DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[];
  readonly signature: Uint8Array;
  /** The preimage of the link in the heartbeat before (SHA-256); empty in statements of other kinds. */
  readonly link: Uint8Array;
}

/** What a signature is over, beside the leaf certificate. */
export interface Said {
  readonly kind: StatementKind;
  readonly mesh: string;
  readonly counter: number;
  readonly timeMs: number;
  readonly link: Uint8Array;
  /** The message as it was received. */
  readonly body: Uint8Array;
}

const domain = "ashlar-statement-v1";
const signatureBytes = 64;
export const linkBytes = 32;
const chainMax = 3;
const certificateBytesMax = 4096;
const headerLengthMax = 16 * 1024;

/** In one step: a hash object costs more than hashing so few bytes, and several are made for each statement. */
const sha256 = (bytes: Uint8Array): Buffer => hash("sha256", bytes, "buffer");

/** SHA-256 of a leaf certificate. */
export const leafDigest = sha256;

const noLink = sha256(new Uint8Array());

/** Two numbers that are safe integers, each as 64 bits. A control plane does this hundreds of times a second. */
function signedBytes({ kind, mesh, counter, timeMs, link, body }: Said, leaf: Uint8Array): Buffer {
  const numbers = Buffer.allocUnsafe(16);
  numbers.writeUInt32BE(Math.floor(counter / 2 ** 32), 0);
  numbers.writeUInt32BE(counter >>> 0, 4);
  numbers.writeUInt32BE(Math.floor(timeMs / 2 ** 32), 8);
  numbers.writeUInt32BE(timeMs >>> 0, 12);
  const linked = link.length === 0 ? noLink : sha256(link);
  return Buffer.concat([Buffer.from(`${domain}\0${kind}\0${mesh}\0`), leaf, numbers, linked, sha256(body)]);
}

/** The header's value. `leaf`: digest of the first certificate of `chain`, whose key is `key`. */
export function signStatement(
  said: Said,
  { chain, leaf, key }: { readonly chain: readonly Uint8Array[]; readonly leaf: Uint8Array; readonly key: KeyObject },
): string {
  const signature = sign("sha256", signedBytes(said, leaf), { key, dsaEncoding: "ieee-p1363" });
  const { counter, timeMs, link } = said;
  const message = { counter, timeMs, link: Buffer.from(link), chain: chain.map((der) => Buffer.from(der)), signature };
  return Buffer.from(StatementMessage.encode(message).finish()).toString("base64url");
}

/** Reads the header's value; fails with `invalid_record` or `limit`. Says nothing about the signature. */
export function parseStatement(header: string): Statement {
  if (header.length > headerLengthMax)
    throw new AshlarError("limit", `statement: ${header.length} bytes, at most ${headerLengthMax} are read`);
  const bytes = Buffer.from(header, "base64url");
  if (bytes.toString("base64url") !== header) throw new AshlarError("invalid_record", "statement: not base64url");
  const message = decodeStrict(StatementMessage, bytes, "statement", headerLengthMax);
  return reading("statement", () => {
    const chain = boundedList("chain", message.chain, chainMax);
    if (chain.length === 0) throw new AshlarError("invalid_record", "chain is empty");
    for (const { length } of chain) integer("chain.length", length, 1, certificateBytesMax);
    integer("signature.length", message.signature.length, signatureBytes, signatureBytes);
    if (message.link.length !== 0) integer("link.length", message.link.length, linkBytes, linkBytes);
    return {
      link: message.link,
      counter: integer("counter", message.counter, 1),
      timeMs: integer("time_ms", message.timeMs, 0),
      chain,
      signature: message.signature,
    };
  });
}

/** Returns whether the key of the certificate with digest `leaf` signed this. */
export function holdsStatement(said: Said, signature: Uint8Array, leaf: Uint8Array, key: KeyObject): boolean {
  return verify("sha256", signedBytes(said, leaf), { key, dsaEncoding: "ieee-p1363" }, signature);
}

/**
 * A row of links, first to last, in one piece: each is the SHA-256 of the next, which nobody knows before it is said.
 * Thousands of them apart would take ten times the memory, in every proxy.
 */
export function makeLinks(seed: Uint8Array, count: number): Uint8Array {
  const links = new Uint8Array(count * linkBytes);
  let link = seed;
  for (let at = links.length - linkBytes; at >= 0; at -= linkBytes) {
    links.set(link, at);
    link = sha256(link);
  }
  return links;
}

/** Returns whether `link` is at most `steps` links after `last`. */
export function followsLink(last: Uint8Array, link: Uint8Array, steps: number): boolean {
  if (link.length !== linkBytes) return false;
  let hash = link;
  for (let step = 0; step < steps; step += 1) {
    hash = sha256(hash);
    if (Buffer.compare(hash, last) === 0) return true;
  }
  return false;
}

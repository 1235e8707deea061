/**
 * The signed envelope of a proxy's message about itself (decision 0026). It is a header beside the message, so that
 * readers of older versions can still read the message. Nothing of the message is parsed before the signature is
 * verified (I3). The signature covers kind, mesh and certificate.
 */
import { hash, type KeyObject, sign, verify } from "node:crypto";
import { Statement as StatementMessage } from "../../proto/gen/ashlar/v1/fleet.js";
import { AshlarError } from "../errors.js";
import { boundedList, integer } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

/** The name of the NATS header. */
export const statementHeader = "Ashlar-Statement";
/**
 * The name of the NATS header of a heartbeat that says nothing new. It is not signed and proves nothing: a reader may
 * put off verifying the heartbeat.
 */
export const repeatHeader = "Ashlar-Repeats";

/** Returns the header with a statement. Its name is written out: with a computed one each object is made slowly. */
export const statementHeaders = (statement: string): Readonly<Record<string, string>> => ({
  "Ashlar-Statement": statement,
});

const statementKinds = ["endpoint", "heartbeat", "limits", "decision", "journal", "journal-batch", "look"] as const;
export type StatementKind = (typeof statementKinds)[number];

/** The parsed envelope. Nothing in it may be trusted until the signature is verified. */
export interface Statement {
  /** A counter that grows with every statement of the proxy. */
  readonly counter: number;
  /** Unix time in milliseconds. */
  readonly timeMs: number;
  /** The certificates in DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[];
  readonly signature: Uint8Array;
  /** The preimage (SHA-256) of the link in the previous heartbeat; empty in statements of other kinds. */
  readonly link: Uint8Array;
}

/** What a signature covers beside the leaf certificate. */
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

/** Hashes in one call: a hash object costs more than hashing so few bytes, and each statement needs several hashes. */
const sha256 = (bytes: Uint8Array): Buffer => hash("sha256", bytes, "buffer");

/** Returns the SHA-256 of a leaf certificate. */
export const leafDigest = sha256;

const noLink = sha256(new Uint8Array());

/**
 * Returns the signed bytes. The two numbers are safe integers and are written as 64 bits each by hand, because a
 * control plane does this hundreds of times a second.
 */
function signedBytes({ kind, mesh, counter, timeMs, link, body }: Said, leaf: Uint8Array): Buffer {
  const numbers = Buffer.allocUnsafe(16);
  numbers.writeUInt32BE(Math.floor(counter / 2 ** 32), 0);
  numbers.writeUInt32BE(counter >>> 0, 4);
  numbers.writeUInt32BE(Math.floor(timeMs / 2 ** 32), 8);
  numbers.writeUInt32BE(timeMs >>> 0, 12);
  const linked = link.length === 0 ? noLink : sha256(link);
  return Buffer.concat([Buffer.from(`${domain}\0${kind}\0${mesh}\0`), leaf, numbers, linked, sha256(body)]);
}

/** Returns the header's value. `leaf`: the digest of the first certificate of `chain`, whose private key is `key`. */
export function signStatement(
  said: Said,
  { chain, leaf, key }: { readonly chain: readonly Uint8Array[]; readonly leaf: Uint8Array; readonly key: KeyObject },
): string {
  const signature = sign("sha256", signedBytes(said, leaf), { key, dsaEncoding: "ieee-p1363" });
  const { counter, timeMs, link } = said;
  const message = { counter, timeMs, link: Buffer.from(link), chain: chain.map((der) => Buffer.from(der)), signature };
  return Buffer.from(StatementMessage.encode(message).finish()).toString("base64url");
}

/**
 * Returns a message with nothing of its headers but the statement, for those who keep it to verify it later. A header
 * block may be of a megabyte, and what is read of it keeps the whole in memory.
 */
export function withStatementAlone<Message extends { header(name: string): string | undefined }>(
  message: Message,
): Message {
  const given = message.header(statementHeader)?.slice(0, headerLengthMax + 1); // a longer one is refused as well
  const statement = given && Buffer.from(given, "latin1").toString("latin1"); // a copy
  return { ...message, header: (name: string) => (name === statementHeader ? statement : undefined) };
}

/** Parses the header's value, without verifying the signature; fails with `invalid_record` or `limit`. */
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

/** Returns whether the key of the certificate with digest `leaf` made this signature. */
export function holdsStatement(said: Said, signature: Uint8Array, leaf: Uint8Array, key: KeyObject): boolean {
  return verify("sha256", signedBytes(said, leaf), { key, dsaEncoding: "ieee-p1363" }, signature);
}

/**
 * Returns a chain of links in one array, first to last: each is the SHA-256 of the next, which nobody can know before
 * it is published. Thousands of separate arrays would take ten times the memory in every proxy.
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

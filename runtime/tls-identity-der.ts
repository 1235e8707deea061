/**
 * A strict, bounded reader of DER (X.690), and of the parts of an X.509 certificate (RFC 5280) that decide who a peer
 * is. Identities are read from these bytes and never from a library's text form, because text forms have been ambiguous
 * before (commas and NULs inside names).
 */
import { AshlarError } from "../core/errors.js";

export interface DerNode {
  readonly tag: number;
  readonly content: Uint8Array;
  /** The bytes of the header and the content. */
  readonly bytes: Uint8Array;
}

export interface CertificateExtension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** The fields of a certificate, which are read and not judged. */
export interface CertificateFields {
  /** The serial number in lower-case hexadecimal without a leading 00. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The names in DER. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly signatureAlgorithm: string;
  /** The SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  readonly extensions: ReadonlyMap<string, CertificateExtension>;
}

const certificateBytesMax = 16 * 1024;
const extensionsMax = 32;
const oidBytesMax = 64;
const namedBitsMax = 32;
const tags = { boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, sequence: 0x30 } as const;

const optionalTags: readonly number[] = [0x81, 0x82, 0xa3];

function refused(why: string): AshlarError {
  return new AshlarError("invalid_identity", `certificate: ${why}`);
}

/** Reads one node at `offset`: definite, minimal lengths and low tag numbers only. */
function readNode(bytes: Uint8Array, offset: number): DerNode {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw refused("the DER ends early");
  if ((tag & 0x1f) === 0x1f) throw refused("a tag number above 30");
  let length = first;
  let start = offset + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw refused("a length that is indefinite or too long");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start++] ?? 0);
    if (length < 0x80 || length < 256 ** (count - 1)) throw refused("a length that is not minimal");
  }
  const end = start + length;
  if (end > bytes.length) throw refused("the DER ends early");
  return { tag, content: bytes.subarray(start, end), bytes: bytes.subarray(offset, end) };
}

/** Reads `bytes` as a single node. Fails on another tag, and on further bytes behind the node. */
export function readDer(bytes: Uint8Array, tag: number): DerNode {
  const node = readNode(bytes, 0);
  if (node.bytes.length !== bytes.length) throw refused("bytes behind the end of the DER");
  if (node.tag !== tag) throw refused(`tag ${node.tag} where ${tag} belongs`);
  return node;
}

/** Reads the nodes inside a constructed node's content. */
export function readDerList(content: Uint8Array): DerNode[] {
  const nodes: DerNode[] = [];
  for (let offset = 0; offset < content.length; ) {
    const node = readNode(content, offset);
    nodes.push(node);
    offset += node.bytes.length;
  }
  return nodes;
}

function expectNode(node: DerNode | undefined, tag: number, what: string): DerNode {
  if (node === undefined || node.tag !== tag) throw refused(`no ${what} where it belongs`);
  return node;
}

/** Reads an object identifier and returns it in dotted form. */
export function readOid(content: Uint8Array): string {
  if (content.length > oidBytesMax) throw refused("an object identifier that is too long");
  const parts: number[] = [];
  let value = 0;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) throw refused("an object identifier that is not minimal");
    value = value * 128 + (byte & 0x7f);
    if (value > 2 ** 32) throw refused("an object identifier that is too long");
    fresh = byte < 0x80;
    if (!fresh) continue;
    if (parts.length === 0)
      parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else parts.push(value);
    value = 0;
  }
  if (!fresh || parts.length === 0) throw refused("an object identifier that ends early");
  return parts.join(".");
}

/** Reads a BOOLEAN whose default is FALSE; DER writes TRUE only as FF (X.690 11.1, 11.5). */
export function readTrue(node: DerNode): true {
  if (node.tag !== tags.boolean || node.content.length !== 1 || node.content[0] !== 0xff) {
    throw refused("a boolean that is not DER");
  }
  return true;
}

/** Checks an INTEGER's content: it must not be negative or longer than necessary (X.690 8.3.2). */
function checkInteger({ tag, content }: DerNode, bytesMax: number): Uint8Array {
  const [first = 0x80, second = 0x80] = content;
  if (tag !== tags.integer || content.length > bytesMax || first >= 0x80) {
    throw refused("a number that is negative or too large");
  }
  if (content.length > 1 && first === 0 && second < 0x80) throw refused("a number that is not minimal");
  return content;
}

/** Reads a non-negative INTEGER that fits into 31 bits. */
export function readSmallInteger(node: DerNode): number {
  return checkInteger(node, 4).reduce((value, byte) => value * 256 + byte, 0);
}

/**
 * Returns the numbers of the bits that are set in a named bit list; bit 0 is the first. In DER the last bit is set
 * (X.690 11.2).
 */
export function readBits(node: DerNode): ReadonlySet<number> {
  const { tag, content } = node;
  const unused = content[0] ?? 8;
  const count = (content.length - 1) * 8 - unused;
  if (tag !== tags.bits || unused > 7 || count < 0 || count > namedBitsMax) throw refused("a broken bit string");
  const set = new Set<number>();
  for (let bit = 0; bit < count + unused; bit++) {
    if (((content[1 + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1) set.add(bit);
  }
  const last = Math.max(-1, ...set);
  if (last !== count - 1) throw refused("a bit string that is not DER");
  return set;
}

/** Reads a UTCTime or GeneralizedTime in the one form that RFC 5280 4.1.2.5 allows. Returns Unix milliseconds. */
function readTime(node: DerNode): number {
  const text = Buffer.from(node.content).toString("latin1");
  const match = (node.tag === 0x17 ? /^(\d\d)(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/).exec(text);
  if (match === null || (node.tag !== 0x17 && node.tag !== 0x18)) throw refused("a time that is not DER");
  const short = Number(match[1]);
  const year = node.tag === 0x18 ? short : short < 50 ? 2000 + short : 1900 + short;
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match[2] ?? "").match(/\d\d/g)?.map(Number) ?? [];
  const timeMs = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(timeMs);
  const same = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && back.getUTCHours() === hour;
  if (!same || back.getUTCMinutes() !== minute || back.getUTCSeconds() !== second) throw refused("a time that is none");
  return timeMs;
}

function readSerial(node: DerNode): string {
  const content = checkInteger(node, 21);
  const hex = Buffer.from(content).toString("hex");
  return content.length > 1 && content[0] === 0 ? hex.slice(2) : hex;
}

function readExtensions(content: Uint8Array): ReadonlyMap<string, CertificateExtension> {
  const list = readDerList(readDer(content, tags.sequence).content);
  if (list.length > extensionsMax) throw refused(`more than ${extensionsMax} extensions`);
  const extensions = new Map<string, CertificateExtension>();
  for (const node of list) {
    const parts = readDerList(expectNode(node, tags.sequence, "extension").content);
    const oid = readOid(expectNode(parts[0], tags.oid, "object identifier").content);
    const [, second, third] = parts;
    const hasCritical = second?.tag === tags.boolean;
    const value = expectNode(hasCritical ? third : second, tags.octets, "extension value").content;
    if (parts.length !== (hasCritical ? 3 : 2)) throw refused("an extension with too many parts");
    if (extensions.has(oid)) throw refused(`extension ${oid} twice`);
    extensions.set(oid, { oid, critical: hasCritical && readTrue(second), value });
  }
  return extensions;
}

/** Reads a certificate in DER; fails with `invalid_identity`. */
export function readCertificate(der: Uint8Array): CertificateFields {
  if (der.length > certificateBytesMax) throw refused(`${der.length} bytes, at most ${certificateBytesMax} are read`);
  const [body, outerAlgorithm, signature, ...more] = readDerList(readDer(der, tags.sequence).content);
  if (more.length > 0) throw refused("too many parts");
  const nodes = readDerList(expectNode(body, tags.sequence, "body").content);
  const version = nodes[0];
  if (version?.tag !== 0xa0 || readSmallInteger(readDer(version.content, tags.integer)) !== 2) {
    throw refused("not X.509 version 3");
  }
  const [, serial, algorithm, issuer, validity, subject, publicKey, ...rest] = nodes;
  const inner = expectNode(algorithm, tags.sequence, "signature algorithm");
  const outer = expectNode(outerAlgorithm, tags.sequence, "signature algorithm");
  if (Buffer.compare(inner.bytes, outer.bytes) !== 0) throw refused("two signature algorithms that differ");
  expectNode(signature, tags.bits, "signature");
  const times = readDerList(expectNode(validity, tags.sequence, "validity").content);
  const [notBefore, notAfter] = times;
  if (notBefore === undefined || notAfter === undefined || times.length !== 2) throw refused("no validity");
  // issuerUniqueID, subjectUniqueID and extensions may each occur once, in this order
  if (rest.some(({ tag }, index) => !optionalTags.includes(tag) || tag <= (rest[index - 1]?.tag ?? 0))) {
    throw refused("fields that do not belong there");
  }
  const extensions = rest.find((node) => node.tag === 0xa3);
  return {
    serial: readSerial(expectNode(serial, tags.integer, "serial number")),
    notBeforeMs: readTime(notBefore),
    notAfterMs: readTime(notAfter),
    issuer: expectNode(issuer, tags.sequence, "issuer").bytes,
    subject: expectNode(subject, tags.sequence, "subject").bytes,
    signatureAlgorithm: readOid(expectNode(readDerList(inner.content)[0], tags.oid, "algorithm").content),
    publicKey: expectNode(publicKey, tags.sequence, "public key").bytes,
    extensions: extensions === undefined ? new Map() : readExtensions(extensions.content),
  };
}

/**
 * Returns organization and common name of a distinguished name, or empty texts. They are for records, never for
 * authorization.
 */
export function readName(name: Uint8Array): { readonly organization: string; readonly commonName: string } {
  const found = { organization: "", commonName: "" };
  for (const set of readDerList(readDer(name, tags.sequence).content)) {
    for (const attribute of readDerList(set.content)) {
      const [type, value] = readDerList(attribute.content);
      const oid = readOid(expectNode(type, tags.oid, "attribute type").content);
      const text = Buffer.from(value?.content ?? []).toString("utf8");
      if (oid === "2.5.4.10") found.organization = text;
      if (oid === "2.5.4.3") found.commonName = text;
    }
  }
  return found;
}

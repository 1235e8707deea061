import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseSvid, verifySvidChain } from "../../runtime/tls-identity.js";
import { readCertificate, readDerList } from "../../runtime/tls-identity-der.js";
import { generatePrivateKeyPem } from "../../runtime/tls-identity-keys.js";
import { buildCsr, parseCsr } from "../../runtime/tls-identity-request.js";
import {
  basic,
  type Extension,
  keyUsage,
  leafExtensions,
  makeCertificate,
  makeIntermediate,
  makeRoot,
  san,
  uriName,
  usage,
} from "../support/certificates.js";
import { derBitString, derInteger, derNode, derOctets, derOid, derSequence, derTrue } from "../support/der.js";
import { runs } from "../support/runs.js";

const id = "spiffe://mesh-a/service/payments";
const now = Date.now();
const root = makeRoot("mesh-a");
const intermediate = makeIntermediate(root, "mesh-a");
const rootsOf = () => [root.der];
const leaf = (extensions: readonly Extension[] = leafExtensions(id)) =>
  makeCertificate({ issuer: intermediate, extensions });
const invalidIdentity = expect.objectContaining({ code: "invalid_identity" });
const invalidArgument = expect.objectContaining({ code: "invalid_argument" });

describe("the DER reader", () => {
  test("any change of one byte gives the same identity under a failing signature, or is refused; it never crashes", () => {
    const good = leaf();
    fc.assert(
      fc.property(fc.nat(good.der.length - 1), fc.integer({ min: 1, max: 255 }), (index, mask) => {
        const der = good.der.slice();
        der[index] = (der[index] ?? 0) ^ mask;
        expect(() => verifySvidChain([der, intermediate.der], rootsOf, now)).toThrow(
          expect.objectContaining({ code: "invalid_identity" }),
        );
      }),
      { numRuns: runs(500) },
    );
  });

  test("random bytes and truncated certificates are refused with invalid_identity", () => {
    const { der } = leaf();
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat(der.length - 1).map((n) => der.slice(0, n)),
        ),
        (bytes) => {
          expect(() => readCertificate(bytes)).toThrow(expect.objectContaining({ code: "invalid_identity" }));
        },
      ),
    );
  });

  test("lengths that are indefinite or not minimal and bytes behind the end are refused", () => {
    const { der } = leaf();
    expect(() => readCertificate(Buffer.concat([der, Buffer.of(0)]))).toThrow("bytes behind the end");
    expect(() => readCertificate(Buffer.from([0x30, 0x80, 0, 0]))).toThrow("indefinite");
    expect(() => readCertificate(Buffer.from([0x30, 0x81, 0x01, 0]))).toThrow("not minimal");
    expect(() => readCertificate(derSequence(derOid("1.2.840.113549.1.1.11")))).toThrow("no body");
  });
});

/** A node to be changed and written again: constructed ones have children. */
interface Tree {
  readonly tag: number;
  readonly children: readonly Tree[];
  readonly content: Uint8Array;
}

function grow(bytes: Uint8Array): readonly Tree[] {
  return readDerList(bytes).map(({ tag, content }) => ({
    tag,
    content,
    children: (tag & 0x20) === 0 ? [] : grow(content),
  }));
}

const write = ({ tag, children, content }: Tree): Buffer =>
  derNode(tag, children.length > 0 ? children.map(write) : content);

type Change = (tree: Tree) => readonly Tree[];

/** `tree` with its node number `at` (counted from the top) put through `change`. */
function changed(tree: Tree, at: number, change: Change): Tree {
  let index = 0;
  const visit = (node: Tree): readonly Tree[] => {
    if (index++ === at) return change(node);
    const children = node.children.flatMap(visit);
    return [{ ...node, children, content: node.children.length > 0 ? Buffer.alloc(0) : node.content }];
  };
  return visit(tree)[0] ?? tree;
}

const wrapped = (node: Tree, tag: number, depth: number): Tree =>
  depth === 0 ? node : { tag, content: node.content, children: [wrapped(node, tag, depth - 1)] };

const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.constant<Change>(() => []),
  fc.constant<Change>((node) => [node, node]),
  fc.integer({ min: 0, max: 255 }).map(
    (tag): Change =>
      (node) => [{ ...node, tag }],
  ),
  fc.uint8Array({ maxLength: 40 }).map(
    (content): Change =>
      (node) => [{ ...node, children: [], content }],
  ),
  fc.constant<Change>((node) => [{ ...node, children: node.children.toReversed() }]),
  fc.tuple(fc.constantFrom(0x30, 0x31, 0x24, 0xa0, 0xa3), fc.integer({ min: 1, max: 400 })).map(
    ([tag, depth]): Change =>
      (node) => [wrapped(node, tag, depth)],
  ),
);

describe("hostile structure", () => {
  const [certificate] = grow(leaf().der);
  const pem = generatePrivateKeyPem();
  const [request] = grow(buildCsr(pem));
  if (certificate === undefined || request === undefined) throw new Error("no tree");

  test("a certificate with any node removed, doubled, retagged, replaced or wrapped is refused with invalid_identity", () => {
    fc.assert(
      fc.property(fc.nat(70), changes, (at, change) => {
        const der = write(changed(certificate, at, change));
        if (der.equals(write(certificate))) return;
        expect(() => verifySvidChain([der, intermediate.der], rootsOf, now)).toThrow(invalidIdentity);
        try {
          expect(parseSvid(der).spiffeId).toBe(id);
        } catch (error) {
          expect(error).toEqual(invalidIdentity);
        }
      }),
      { numRuns: runs(1000) },
    );
  });

  test("a certificate request treated likewise is refused with invalid_argument", () => {
    fc.assert(
      fc.property(fc.nat(20), changes, (at, change) => {
        const der = write(changed(request, at, change));
        if (der.equals(write(request))) return;
        expect(() => parseCsr(der)).toThrow(invalidArgument);
      }),
      { numRuns: runs(300) },
    );
  });

  const fill = (bytes: number, ...unit: number[]) => Buffer.alloc(bytes - (bytes % unit.length), Buffer.from(unit));
  /** Returns sequences within each other, as deep as `bytes` allow, written from the inside. */
  function nest(bytes: number, tag: number): Buffer {
    let size = 0;
    const headers: Buffer[] = [];
    while (size < bytes - 4) {
      const header = derNode(tag, Buffer.alloc(size)).subarray(0, size < 128 ? 2 : size < 256 ? 3 : 4);
      headers.unshift(header);
      size += header.length;
    }
    return Buffer.concat(headers);
  }
  const shapes: Record<string, (bytes: number) => Buffer> = {
    "sequences in sequences": (bytes) => nest(bytes, 0x30),
    "constructed octet strings": (bytes) => nest(bytes, 0x24),
    "constructed bit strings": (bytes) => nest(bytes, 0x23),
    "context tags": (bytes) => nest(bytes, 0xa0),
    "indefinite lengths": (bytes) => fill(bytes, 0x30, 0x80),
    "a body of empty nodes": (bytes) => derSequence(derSequence(fill(bytes - 8, 0x30, 0))),
    "a name of many parts": (bytes) =>
      derSequence(
        derSequence(derInteger(Buffer.of(0)), derSequence(fill(bytes - 20, 0x31, 9, 0x30, 7, 6, 1, 42, 12, 2, 65, 65))),
      ),
    "a length near 2^64": () => Buffer.from("3088ffffffffffffffff0000", "hex"),
  };
  /** Process time: the machine may be busy with others. */
  const cpuMs = (act: () => void): number => {
    const before = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };

  for (const [name, shape] of Object.entries(shapes)) {
    test(`${name}, as many as fit, are refused within a second of CPU time`, () => {
      const [certificate, request] = [shape(16_384), shape(8192)];
      const spent = cpuMs(() => {
        expect(() => verifySvidChain([certificate], rootsOf, now)).toThrow(invalidIdentity);
        expect(() => parseCsr(request)).toThrow(invalidArgument);
      });
      expect(spent).toBeLessThan(1000);
    });
  }

  test("extensions as large as fit are refused within a second of CPU time", () => {
    const big = (one: Extension) => leafExtensions(id).map((old) => (old.oid === one.oid ? one : old));
    const bits = { ...keyUsage([usage.digitalSignature]), value: derBitString(Buffer.alloc(15_000, 255)) };
    for (const extension of [
      san(...Array.from({ length: 1800 }, () => uriName("x:y:z"))),
      san(fill(15_000, 0x86, 0)),
      san(derNode(0xa4, nest(15_000, 0x30))),
      bits,
    ]) {
      const { der } = leaf(big(extension));
      expect(cpuMs(() => expect(() => parseSvid(der)).toThrow(invalidIdentity))).toBeLessThan(1000);
    }
    const { der } = leaf([...leafExtensions(id), { oid: "1.2.3", critical: false, value: Buffer.alloc(16_384) }]);
    expect(() => parseSvid(der)).toThrow("at most 16384 are read");
  });
});

describe("what is BER and not DER is refused", () => {
  const withUsage = (...bytes: number[]) =>
    leafExtensions(id, { usage: { ...keyUsage([0]), value: Buffer.of(...bytes) } });
  const withBasic = (...parts: Buffer[]) =>
    leafExtensions(id, { basic: { ...basic(false), value: derSequence(...parts) } });
  const [certificate] = grow(leaf().der);
  if (certificate === undefined) throw new Error("no tree");
  /** The leaf with the child at `path` of the body's children replaced. */
  const withField = (field: number, node: Buffer) => {
    const [body, ...rest] = certificate.children;
    const fields = (body?.children ?? []).map((one, index) => (index === field ? node : write(one)));
    return derSequence(derSequence(fields), rest.map(write));
  };
  const behind = (...nodes: Buffer[]) => {
    const [body, ...rest] = certificate.children;
    return derSequence(derSequence((body?.children ?? []).map(write), nodes), rest.map(write));
  };

  const cases: Record<string, readonly [() => Uint8Array, string]> = {
    "a key usage with a bit set that is not used": [() => leaf(withUsage(3, 2, 7, 0x81)).der, "not DER"],
    "a key usage with trailing zeros": [() => leaf(withUsage(3, 2, 0, 0x80)).der, "not DER"],
    "a key usage of no bytes": [() => leaf(withUsage(3, 0)).der, "broken bit string"],
    "basic constraints that say FALSE": [() => leaf(withBasic(Buffer.of(1, 1, 0))).der, "boolean"],
    "basic constraints with TRUE as 01": [() => leaf(withBasic(Buffer.of(1, 1, 1))).der, "boolean"],
    "a path length with a zero in front": [() => leaf(withBasic(derTrue, Buffer.of(2, 2, 0, 1))).der, "not minimal"],
    "a serial number with a zero in front": [() => withField(1, Buffer.of(2, 2, 0, 1)), "not minimal"],
    "a negative serial number": [() => withField(1, Buffer.of(2, 1, 0x80)), "negative"],
    "a constructed string as a name": [
      () => leaf(leafExtensions(id, { san: san(uriName(id), derNode(0xa6, uriName("x:"))) })).der,
      "no known kind",
    ],
    "a key usage of 33 bits": [() => leaf(withUsage(3, 6, 7, 0x80, 0, 0, 0, 0x80)).der, "broken bit string"],
    "one extension twice": [() => leaf([...leafExtensions(id), san(uriName(id))]).der, "2.5.29.17 twice"],
    "extensions twice": [() => behind(derNode(0xa3, derSequence())), "do not belong"],
    "an unknown field": [() => behind(derNode(0xa4)), "do not belong"],
    "no signature": [() => derSequence(certificate.children.slice(0, 2).map(write)), "no signature"],
    "an object identifier of 65 bytes": [
      () =>
        leaf([...leafExtensions(id), { oid: `1.2${".3".repeat(64)}`, critical: false, value: derOctets(Buffer.of()) }])
          .der,
      "too long",
    ],
  };
  for (const [name, [make, why]] of Object.entries(cases)) {
    test(name, () => {
      const der = make();
      expect(() => parseSvid(der)).toThrow(invalidIdentity);
      expect(() => parseSvid(der)).toThrow(why);
    });
  }

  test("in a certificate request", () => {
    const der = buildCsr(generatePrivateKeyPem());
    const [info, algorithm, signature] = readDerList(readDerList(der)[0]?.content ?? der);
    if (info === undefined || algorithm === undefined || signature === undefined) throw new Error("no parts");
    const content = Buffer.concat([info.bytes, algorithm.bytes, signature.bytes]);
    const size = [content.length >> 8, content.length & 0xff] as const;
    expect(parseCsr(derSequence(content))).toEqual(parseCsr(der));
    for (const bytes of [
      Buffer.concat([der, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0x30, 0x83, 0, ...size), content]),
      Buffer.concat([Buffer.of(0x30, 0x80), content, Buffer.of(0, 0)]),
      derSequence(info.bytes, algorithm.bytes, derNode(3, Buffer.of(1), signature.content.subarray(1))),
      derSequence(info.bytes, algorithm.bytes, signature.bytes, derOid("1.2.3")),
      derSequence(info.bytes, derSequence(derOid("1.2.840.10045.4.3.2"), Buffer.of(5, 0)), signature.bytes),
    ]) {
      expect(() => parseCsr(bytes)).toThrow(invalidArgument);
    }
  });
});

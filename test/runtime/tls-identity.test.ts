import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { checkRevocation, parseSvid, verifySvidChain } from "../../runtime/tls-identity.js";
import {
  basic,
  dnsName,
  type Extension,
  extended,
  extendedUsage,
  keyUsage,
  leafExtensions,
  makeCertificate,
  makeIntermediate,
  makeRoot,
  san,
  type TestCertificate,
  uriName,
  usage,
} from "../support/certificates.js";
import { derNode, derSequence } from "../support/der.js";

const id = "spiffe://mesh-a/service/payments";
const now = Date.now();
const root = makeRoot("mesh-a");
const intermediate = makeIntermediate(root, "mesh-a");
const otherRoot = makeRoot("mesh-b");
const rootsOf = (domain: string) => (domain === "mesh-a" ? [root.der] : domain === "mesh-b" ? [otherRoot.der] : []);

const leaf = (extensions: readonly Extension[] = leafExtensions(id), issuer: TestCertificate = intermediate) =>
  makeCertificate({ issuer, extensions });
const verify = (...chain: TestCertificate[]) =>
  verifySvidChain(
    chain.map((one) => one.der),
    rootsOf,
    now,
  );

describe("a good SVID", () => {
  test("is accepted through an intermediate, directly under the root, and with the root in the chain", () => {
    expect(verify(leaf(), intermediate)).toMatchObject({ spiffeId: id, trustDomain: "mesh-a" });
    expect(verify(leaf(leafExtensions(id), root)).spiffeId).toBe(id);
    expect(verify(leaf(), intermediate, root).spiffeId).toBe(id);
  });

  test("may have other names beside its one URI, and no extended usage", () => {
    const names = san(dnsName("localhost"), uriName(id), derNode(0x87, Buffer.of(127, 0, 0, 1)));
    expect(verify(leaf(leafExtensions(id, { san: names, extended: null })), intermediate).spiffeId).toBe(id);
  });

  test("has the serial and times that the bytes say", () => {
    const serial = Buffer.from("8f0102030405060708090a0b0c0d0e0f", "hex");
    const notAfterMs = Date.UTC(2051, 1, 28, 23, 59, 58);
    const { der } = makeCertificate({ issuer: root, extensions: leafExtensions(id), serial, notAfterMs });
    expect(parseSvid(der)).toMatchObject({ serial: serial.toString("hex"), notAfterMs });
  });

  test("is accepted while one of two roots of the same key is good", () => {
    const old = makeCertificate({
      name: root.name,
      key: root.key,
      extensions: [basic(true, 0)],
      notAfterMs: now - 1,
    });
    const both = () => [old.der, root.der];
    expect(verifySvidChain([leaf().der, intermediate.der], both, now).spiffeId).toBe(id);
  });
});

const unknownCritical: Extension = { oid: "1.2.3.4.5", critical: true, value: derSequence() };
const bad: Record<string, () => unknown> = {
  "I1 no URI name": () => verify(leaf(leafExtensions(id, { san: san(dnsName("x")) })), intermediate),
  "I1 no alternative name at all": () => verify(leaf(leafExtensions(id, { san: null })), intermediate),
  "I1 two SPIFFE IDs": () =>
    verify(leaf(leafExtensions(id, { san: san(uriName(id), uriName(`${id}2`)) })), intermediate),
  "I1 a SPIFFE ID and an https URI": () =>
    verify(leaf(leafExtensions(id, { san: san(uriName(id), uriName("https://x")) })), intermediate),
  "I1 the alternative name twice": () => parseSvid(leaf([...leafExtensions(id), san(uriName(id))]).der),
  "I2 SPIFFE in capitals": () => verify(leaf(leafExtensions("SPIFFE://mesh-a/service/x")), intermediate),
  "I2 https": () => verify(leaf(leafExtensions("https://mesh-a/service/x")), intermediate),
  "I3 trust domain in capitals": () => verify(leaf(leafExtensions("spiffe://Mesh-A/service/x")), intermediate),
  "I3 a port": () => verify(leaf(leafExtensions("spiffe://mesh-a:80/service/x")), intermediate),
  "I3 userinfo": () => verify(leaf(leafExtensions("spiffe://u@mesh-a/service/x")), intermediate),
  "I4 an empty segment": () => verify(leaf(leafExtensions("spiffe://mesh-a/service//x")), intermediate),
  "I4 a dot segment": () => verify(leaf(leafExtensions("spiffe://mesh-a/service/../x")), intermediate),
  "I4 a trailing slash": () => verify(leaf(leafExtensions("spiffe://mesh-a/service/")), intermediate),
  "I4 a percent": () => verify(leaf(leafExtensions("spiffe://mesh-a/service/%78")), intermediate),
  "I5 2049 bytes": () => verify(leaf(leafExtensions(`spiffe://mesh-a/${"x".repeat(2049 - 16)}`)), intermediate),
  "I6 a leaf that is a CA": () => verify(leaf(leafExtensions(id, { basic: basic(true) })), intermediate),
  "I6 keyCertSign": () =>
    verify(leaf(leafExtensions(id, { usage: keyUsage([usage.digitalSignature, usage.keyCertSign]) })), intermediate),
  "I6 cRLSign": () =>
    verify(leaf(leafExtensions(id, { usage: keyUsage([usage.digitalSignature, usage.crlSign]) })), intermediate),
  "I6 no digitalSignature": () =>
    verify(leaf(leafExtensions(id, { usage: keyUsage([usage.keyEncipherment]) })), intermediate),
  "I6 no key usage": () => verify(leaf(leafExtensions(id, { usage: null })), intermediate),
  "I6 key usage not critical": () =>
    verify(leaf(leafExtensions(id, { usage: keyUsage([usage.digitalSignature], false) })), intermediate),
  "I7 no path": () => verify(leaf(leafExtensions("spiffe://mesh-a")), intermediate),
  "I7 a path of one slash": () => verify(leaf(leafExtensions("spiffe://mesh-a/")), intermediate),
  "I8 serverAuth alone": () =>
    verify(leaf(leafExtensions(id, { extended: extended(extendedUsage.server) })), intermediate),
  "I8 clientAuth alone": () =>
    verify(leaf(leafExtensions(id, { extended: extended(extendedUsage.client) })), intermediate),
  "I9 the intermediate as a peer": () => verify(intermediate),
  "I9 the root as a peer": () => verify(root),
  "I9 a CA whose ID has a path": () => {
    const ca = makeIntermediate(root, "mesh-a", [basic(true, 0), keyUsage([usage.keyCertSign]), san(uriName(id))]);
    return verify(leaf(leafExtensions(id), ca), ca);
  },
  "I10 signed by the CA of another trusted domain": () => verify(leaf(leafExtensions(id), otherRoot)),
  "I10 a trust domain that is not trusted": () =>
    verify(leaf(leafExtensions("spiffe://mesh-c/service/x")), intermediate),
  "I10 a CA of another domain under our root": () => {
    const ca = makeIntermediate(root, "mesh-b");
    return verify(leaf(leafExtensions(id), ca), ca);
  },
  "a SPIFFE ID in the common name": () =>
    verify(
      makeCertificate({ name: id, issuer: intermediate, extensions: leafExtensions(id, { san: null }) }),
      intermediate,
    ),
  "a SPIFFE ID in a DNS name": () => verify(leaf(leafExtensions(id, { san: san(dnsName(id)) })), intermediate),
  "a NUL in the URI": () => verify(leaf(leafExtensions(`${id}\0x`)), intermediate),
  "a newline in the URI": () => verify(leaf(leafExtensions(`${id}\n`)), intermediate),
  "a byte above ASCII in the URI": () => verify(leaf(leafExtensions(`${id}\xe4`)), intermediate),
  "a NUL in a DNS name beside it": () =>
    verify(leaf(leafExtensions(id, { san: san(uriName(id), dnsName("a\0b")) })), intermediate),
  expired: () =>
    verify(
      makeCertificate({ issuer: intermediate, extensions: leafExtensions(id), notAfterMs: now - 2000 }),
      intermediate,
    ),
  "not valid yet": () =>
    verify(
      makeCertificate({ issuer: intermediate, extensions: leafExtensions(id), notBeforeMs: now + 5000 }),
      intermediate,
    ),
  "an intermediate that is no CA": () => {
    const ca = makeIntermediate(root, "mesh-a", [basic(false), keyUsage([usage.keyCertSign])]);
    return verify(leaf(leafExtensions(id), ca), ca);
  },
  "an intermediate without keyCertSign": () => {
    const ca = makeIntermediate(root, "mesh-a", [basic(true, 0), keyUsage([usage.digitalSignature])]);
    return verify(leaf(leafExtensions(id), ca), ca);
  },
  "a path longer than pathLen": () => {
    const second = makeIntermediate(intermediate, "mesh-a");
    return verify(leaf(leafExtensions(id), second), second, intermediate);
  },
  "an expired intermediate": () => {
    const ca = makeCertificate({
      issuer: root,
      extensions: [basic(true, 0), keyUsage([usage.keyCertSign])],
      notAfterMs: now - 2000,
    });
    return verify(leaf(leafExtensions(id), ca), ca);
  },
  "a missing intermediate": () => verify(leaf()),
  "a wrong intermediate": () => verify(leaf(), makeIntermediate(root, "mesh-a")),
  "a forged signature under the right name": () =>
    verify(
      makeCertificate({
        issuer: intermediate,
        extensions: leafExtensions(id),
        signingKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
      }),
      intermediate,
    ),
  "self-signed": () => verify(makeCertificate({ extensions: leafExtensions(id) })),
  "SHA-1": () =>
    verify(
      makeCertificate({
        issuer: intermediate,
        extensions: leafExtensions(id),
        algorithm: ["1.2.840.10045.4.1", "sha1"],
      }),
      intermediate,
    ),
  "a critical extension that nobody knows": () => verify(leaf([...leafExtensions(id), unknownCritical]), intermediate),
  "an empty chain": () => verify(),
  "a chain that is too long": () => verify(leaf(), intermediate, intermediate, intermediate, root),
};

describe("a bad SVID is refused with invalid_identity", () => {
  for (const [name, act] of Object.entries(bad)) {
    test(name, () => expect(act).toThrow(expect.objectContaining({ code: "invalid_identity" })));
  }

  test("I3 any byte behind the trust domain that does not belong there", () => {
    for (let byte = 0; byte < 256; byte++) {
      const char = String.fromCharCode(byte);
      if (/[a-z0-9._-]/.test(char)) continue;
      const { der } = leaf(leafExtensions(`spiffe://mesh-a${char}/service/x`));
      if (char === "/") expect(() => parseSvid(der)).toThrow();
      else expect(() => parseSvid(der)).toThrow(expect.objectContaining({ code: "invalid_identity" }));
    }
  });

  test("I5 2048 bytes are read", () => {
    expect(parseSvid(leaf(leafExtensions(`spiffe://mesh-a/${"x".repeat(2048 - 16)}`)).der).spiffeId).toHaveLength(2048);
  });
});

test("a revoked serial is refused", () => {
  const svid = verify(leaf(), intermediate);
  expect(checkRevocation(svid, { isRevoked: () => false })).toBe(svid);
  expect(() => checkRevocation(svid, { isRevoked: (serial) => serial === svid.serial })).toThrow(/is revoked/);
});

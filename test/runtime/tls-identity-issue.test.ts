import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { formatJoinToken, parseJoinToken } from "../../runtime/join-token.js";
import { parseSvid } from "../../runtime/tls-identity.js";
import { readCertificate, readName, readOid } from "../../runtime/tls-identity-der.js";
import { issueCertificate } from "../../runtime/tls-identity-issue.js";
import { fromPem, generatePrivateKeyPem, publicKeyDer, toPem } from "../../runtime/tls-identity-keys.js";
import { buildCsr, parseCsr } from "../../runtime/tls-identity-request.js";
import { derOid } from "../support/der.js";
import { runs } from "../support/runs.js";

describe("certificate requests", () => {
  const key = generatePrivateKeyPem();
  const csr = buildCsr(key);

  test("give the key back, and openssl accepts them", () => {
    expect(parseCsr(csr).publicKey).toEqual(publicKeyDer(key));
    execFileSync("openssl", ["req", "-inform", "DER", "-verify", "-noout"], {
      input: csr,
      stdio: ["pipe", "ignore", "ignore"],
    });
  });

  test("by openssl are read, whatever their subject", () => {
    const dir = mkdtempSync(join(tmpdir(), "csr-"));
    try {
      writeFileSync(join(dir, "key.pem"), key);
      const made = execFileSync(
        "openssl",
        ["req", "-new", "-key", "key.pem", "-subj", "/CN=admin", "-outform", "DER"],
        { cwd: dir },
      );
      expect(parseCsr(made).thumbprint).toBe(parseCsr(csr).thumbprint);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test("with another kind of key, a changed byte or random bytes are invalid_argument", () => {
    const invalid = expect.objectContaining({ code: "invalid_argument" });
    for (const [type, options] of [
      ["ec", { namedCurve: "P-384" }],
      ["rsa", { modulusLength: 2048 }],
    ] as const) {
      const { privateKey } = generateKeyPairSync(type as "ec", options as { namedCurve: string });
      const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
      expect(() => parseCsr(buildCsr(pem))).toThrow(invalid);
    }
    fc.assert(
      fc.property(fc.nat(csr.length - 1), fc.integer({ min: 1, max: 255 }), (index, mask) => {
        const changed = csr.slice();
        changed[index] = (changed[index] ?? 0) ^ mask;
        expect(() => parseCsr(changed)).toThrow(invalid);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expect(() => parseCsr(bytes)).toThrow(invalid)),
    );
  });
});

describe("issued certificates", () => {
  const key = createPrivateKey(generatePrivateKeyPem());
  const leafKey = publicKeyDer(generatePrivateKeyPem());
  const second = (timeMs: number) => Math.floor(timeMs / 1000) * 1000;

  test("say what they were asked to say, to our reader and to Node", () => {
    const times = fc.integer({ min: Date.UTC(1971, 0, 1), max: Date.UTC(2099, 0, 1) });
    const text = fc.string({ unit: "grapheme", maxLength: 12 });
    const serials = fc.uint8Array({ minLength: 1, maxLength: 20 }).filter((bytes) => bytes.some((byte) => byte > 0));
    fc.assert(
      fc.property(
        serials,
        text,
        text,
        times,
        times,
        fc.ipV4(),
        (serial, organization, commonName, from, to, address) => {
          const contents = { serial, organization, commonName, notBeforeMs: from, notAfterMs: to };
          const root = issueCertificate(
            { ...contents, publicKey: publicKeyDer(key), uri: "spiffe://mesh-a", pathLength: 0 },
            { selfKey: key },
          );
          const names = { uri: "spiffe://mesh-a/service/x", dnsNames: ["a.b"], ipAddresses: [address, "fe80::1"] };
          const der = issueCertificate(
            { ...contents, publicKey: leafKey, ...names },
            { certificate: root, privateKey: key },
          );
          const fields = readCertificate(der);
          const hex = Buffer.from(serial)
            .toString("hex")
            .replace(/^(00)+/, "");
          expect(fields).toMatchObject({ serial: hex, notBeforeMs: second(from), notAfterMs: second(to) });
          expect(readName(fields.subject)).toEqual({ organization, commonName });
          expect(fields.issuer).toEqual(readCertificate(root).subject);
          expect(parseSvid(der).spiffeId).toBe(names.uri);
          const seen = new X509Certificate(der);
          expect(seen.subjectAltName).toBe(
            `URI:${names.uri}, DNS:a.b, IP Address:${address}, IP Address:FE80:0:0:0:0:0:0:1`,
          );
          expect(seen.checkIssued(new X509Certificate(root)) && seen.verify(createPublicKey(key))).toBe(true);
        },
      ),
      { numRuns: runs(50) },
    );
  });

  test("are not made for an address that is none or a name that is too long", () => {
    const contents = {
      serial: Uint8Array.of(1),
      organization: "",
      commonName: "x",
      notBeforeMs: 0,
      notAfterMs: 1000,
      publicKey: leafKey,
      uri: "spiffe://mesh-a/service/x",
    };
    for (const address of ["localhost", "1.2.3", "1.2.3.4/8", "::ffff:1.2.3.4", "fe80::1%eth0"]) {
      expect(() => issueCertificate({ ...contents, ipAddresses: [address] }, { selfKey: key })).toThrow(
        `not an IP address: ${address}`,
      );
    }
    expect(() => issueCertificate({ ...contents, commonName: "ä".repeat(33) }, { selfKey: key })).toThrow("64 bytes");
  });
});

describe("text forms", () => {
  test("object identifiers and PEM come back as they went", () => {
    for (const oid of ["2.5.29.17", "1.2.840.113549.1.1.11", "1.3.101.112", "2.999.1", "0.9.2342"]) {
      expect(readOid(derOid(oid).subarray(2))).toBe(oid);
    }
    const list = [new Uint8Array([1, 2, 3]), new Uint8Array(200).fill(7)];
    expect(fromPem(`junk\n${toPem(list)}`)).toEqual(list);
  });

  test("join tokens come back, and anything else is unauthenticated without repeating it", () => {
    const token = { mesh: "a.b-c", rootHash: "0f".repeat(32), secret: new Uint8Array(24).fill(200) };
    expect(parseJoinToken(` ${formatJoinToken(token)}\n`)).toEqual(token);
    fc.assert(
      fc.property(fc.string({ minLength: 8 }), (text) => {
        expect(() => parseJoinToken(text)).toThrow(expect.objectContaining({ code: "unauthenticated" }));
      }),
    );
    expect(() => parseJoinToken("ashlar1.secret")).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("secret") }),
    );
  });
});

import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { formatJoinToken, parseJoinToken } from "../../runtime/join-token.js";
import { readOid } from "../../runtime/tls-identity-der.js";
import {
  buildCsr,
  fromPem,
  generatePrivateKeyPem,
  parseCsr,
  publicKeyDer,
  toPem,
} from "../../runtime/tls-identity-issue.js";
import { derOid } from "../../runtime/tls-identity-write.js";

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

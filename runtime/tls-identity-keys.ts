/** ECDSA P-256 keys and their signatures by node:crypto, and PEM. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";

/** Returns a new ECDSA P-256 private key as PKCS #8 PEM. */
export function generatePrivateKeyPem(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

/** Returns a key's SubjectPublicKeyInfo in DER. */
export function publicKeyDer(key: KeyObject | string): Uint8Array {
  const publicKey = typeof key === "string" || key.type === "private" ? createPublicKey(key) : key;
  return new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
}

/** Returns the SHA-256 of a SubjectPublicKeyInfo in lower-case hexadecimal. */
export function thumbprintOf(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("hex");
}

/** Signs with ECDSA P-256 and SHA-256. Returns the signature in DER. */
export function signEcdsa(bytes: Uint8Array, key: KeyObject | string): Uint8Array {
  return new Uint8Array(sign("sha256", bytes, typeof key === "string" ? createPrivateKey(key) : key));
}

/** Verifies an ECDSA P-256 signature in DER; false for whatever does not verify. */
export function verifyEcdsa(bytes: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    return key.asymmetricKeyType === "ec" && verify("sha256", bytes, key, signature);
  } catch {
    return false;
  }
}

/** Returns DER certificates as PEM, in order. */
export function toPem(certificates: readonly Uint8Array[]): string {
  return certificates
    .map((der) => {
      const lines =
        Buffer.from(der)
          .toString("base64")
          .match(/.{1,64}/g) ?? [];
      return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
    })
    .join("");
}

/** Returns the DER certificates in a PEM text, in order. */
export function fromPem(pem: string): Uint8Array[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g);
  return [...blocks].map((match) => new Uint8Array(Buffer.from(match[1] ?? "", "base64")));
}

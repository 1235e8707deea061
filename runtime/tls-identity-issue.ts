/** Builds X.509 certificates and PKCS #10 requests (RFC 5280, RFC 2986) for ECDSA P-256 keys, synchronously. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import { readCertificate, readDer, readDerList, readOid } from "./tls-identity-der.js";
import {
  derBitString,
  derInteger,
  derName,
  derNamedBits,
  derNode,
  derOctets,
  derOid,
  derSequence,
  derTime,
  derTrue,
} from "./tls-identity-write.js";

export interface CertificateRequest {
  /** DER of SubjectPublicKeyInfo: an ECDSA P-256 key. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of `publicKey`, lower-case hexadecimal. */
  readonly thumbprint: string;
}

/** A certificate that signs, with its key. */
export interface Issuer {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

export interface CertificateContents {
  /** Big end first, at most 20 bytes and positive (RFC 5280 4.1.2.2). */
  readonly serial: Uint8Array;
  /** For people only; identity is the URI name. */
  readonly organization: string;
  readonly commonName: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** DER of SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  readonly uri: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** The path length of a CA; undefined: a leaf. */
  readonly pathLength?: number;
}

const ecdsaSha256 = derSequence(derOid("1.2.840.10045.4.3.2"));
const p256Prefix = derSequence(derOid("1.2.840.10045.2.1"), derOid("1.2.840.10045.3.1.7"));
const requestBytesMax = 8 * 1024;

/** A new ECDSA P-256 private key as PKCS #8 PEM. */
export function generatePrivateKeyPem(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

/** DER of a key's SubjectPublicKeyInfo. */
export function publicKeyDer(key: KeyObject | string): Uint8Array {
  const publicKey = typeof key === "string" || key.type === "private" ? createPublicKey(key) : key;
  return new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
}

/** SHA-256 of SubjectPublicKeyInfo, lower-case hexadecimal. */
export function thumbprintOf(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("hex");
}

/** Signs with ECDSA P-256 and SHA-256; the signature is DER. */
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

const toSigned = (body: Uint8Array, key: KeyObject): Uint8Array =>
  new Uint8Array(derSequence(body, ecdsaSha256, derBitString(signEcdsa(body, key))));

/** A certificate request for `privateKey` with an empty subject: who it is for is not for the request to say. */
export function buildCsr(privateKeyPem: string): Uint8Array {
  const key = createPrivateKey(privateKeyPem);
  const body = derSequence(derInteger(Buffer.of(0)), derName("", ""), publicKeyDer(key), derNode(0xa0));
  return toSigned(body, key);
}

/**
 * Reads a certificate request and checks that it is signed by its own key. Subject and attributes are
 * ignored. Fails with `invalid_argument`.
 */
export function parseCsr(der: Uint8Array): CertificateRequest {
  try {
    return readCsr(der);
  } catch (cause) {
    if (isAshlarError(cause, "invalid_argument")) throw cause;
    throw badRequest(messageOf(cause).replace(/^certificate: /, ""), cause);
  }
}

function badRequest(why: string, cause?: unknown): AshlarError {
  return new AshlarError("invalid_argument", `certificate request: ${why}`, cause === undefined ? {} : { cause });
}

function readCsr(der: Uint8Array): CertificateRequest {
  if (der.length > requestBytesMax) throw badRequest(`${der.length} bytes, at most ${requestBytesMax} are read`);
  const [body, algorithm, signature, ...more] = readDerList(readDer(der, 0x30).content);
  if (body?.tag !== 0x30 || algorithm === undefined || signature?.tag !== 0x03 || more.length > 0) {
    throw badRequest("not a PKCS #10 request");
  }
  if (!ecdsaSha256.equals(algorithm.bytes)) throw badRequest("not signed by ECDSA with SHA-256");
  const publicKey = readDerList(body.content)[2];
  const [keyAlgorithm] = publicKey?.tag === 0x30 ? readDerList(publicKey.content) : [];
  if (publicKey === undefined || keyAlgorithm === undefined) throw badRequest("no public key");
  if (!p256Prefix.equals(keyAlgorithm.bytes)) {
    const kind = readDerList(keyAlgorithm.content)[0];
    throw badRequest(`the key is not ECDSA P-256 (${kind?.tag === 0x06 ? readOid(kind.content) : "unknown"})`);
  }
  if (signature.content[0] !== 0 || !verifyEcdsa(body.bytes, signature.content.subarray(1), publicKey.bytes)) {
    throw badRequest("its signature does not hold");
  }
  // one encoding a key: a second one would be a second thumbprint
  const canonical = publicKeyDer(createPublicKey({ key: Buffer.from(publicKey.bytes), format: "der", type: "spki" }));
  return { publicKey: canonical, thumbprint: thumbprintOf(canonical) };
}

/** Issues a certificate; without `issuer` it is signed by `selfKey`, its own key. */
export function issueCertificate(
  contents: CertificateContents,
  issuer: Issuer | { readonly selfKey: KeyObject },
): Uint8Array {
  const subject = derName(contents.organization, contents.commonName);
  const isSelf = "selfKey" in issuer;
  const own = keyIdentifier(contents.publicKey);
  const parent = isSelf ? { subject, publicKey: contents.publicKey } : readCertificate(issuer.certificate);
  const extensions = [
    extension("2.5.29.35", false, derSequence(derNode(0x80, keyIdentifier(parent.publicKey)))),
    extension("2.5.29.14", false, derOctets(own)),
    ...usageExtensions(contents.pathLength),
    extension("2.5.29.17", false, derSequence(...alternativeNames(contents))),
  ];
  const body = derSequence(
    derNode(0xa0, derInteger(Buffer.of(2))),
    derInteger(contents.serial),
    ecdsaSha256,
    parent.subject,
    derSequence(derTime(contents.notBeforeMs), derTime(contents.notAfterMs)),
    subject,
    contents.publicKey,
    derNode(0xa3, derSequence(extensions)),
  );
  return toSigned(body, isSelf ? issuer.selfKey : issuer.privateKey);
}

function extension(oid: string, critical: boolean, value: Uint8Array): Buffer {
  return derSequence(derOid(oid), critical ? derTrue : [], derOctets(value));
}

function usageExtensions(pathLength: number | undefined): readonly Buffer[] {
  if (pathLength !== undefined) {
    return [
      extension("2.5.29.19", true, derSequence(derTrue, derInteger(Buffer.of(pathLength)))),
      extension("2.5.29.15", true, derNamedBits([5, 6])), // keyCertSign, cRLSign
    ];
  }
  return [
    extension("2.5.29.19", true, derSequence()),
    extension("2.5.29.15", true, derNamedBits([0])), // digitalSignature
    extension("2.5.29.37", false, derSequence(derOid("1.3.6.1.5.5.7.3.1"), derOid("1.3.6.1.5.5.7.3.2"))),
  ];
}

function alternativeNames({ uri, dnsNames, ipAddresses }: CertificateContents): readonly Buffer[] {
  return [
    derNode(0x86, Buffer.from(uri, "latin1")),
    ...(dnsNames ?? []).map((name) => derNode(0x82, Buffer.from(name, "latin1"))),
    ...(ipAddresses ?? []).map((address) => derNode(0x87, ipBytes(address))),
  ];
}

function ipBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  if (!isIPv6(address) || address.includes(".") || address.includes("%")) {
    throw new AshlarError("invalid_argument", `not an IP address: ${address}`);
  }
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail ?? "")];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** RFC 7093 method 1: the leftmost 160 bits of the key's SHA-256. */
function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  const bits = readDerList(readDer(publicKey, 0x30).content)[1]?.content.subarray(1) ?? new Uint8Array();
  return new Uint8Array(createHash("sha256").update(bits).digest().subarray(0, 20));
}

/** DER certificates as PEM, in order. */
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

/** The DER certificates in PEM text, in order. */
export function fromPem(pem: string): Uint8Array[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g);
  return [...blocks].map((match) => new Uint8Array(Buffer.from(match[1] ?? "", "base64")));
}

/** What a certificate says, read by the rules of SPIFFE (X509-SVID.md) and RFC 5280. It says nothing about who signed it. */
import { AshlarError } from "../core/errors.js";
import {
  type CertificateFields,
  readBits,
  readCertificate,
  readDer,
  readDerList,
  readOid,
  readSmallInteger,
  readTrue,
} from "./tls-identity-der.js";

const oids = {
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** Critical extensions that are understood; any other makes a certificate unacceptable (RFC 5280 4.2). */
const understood: ReadonlySet<string> = new Set([
  oids.keyUsage,
  oids.subjectAltName,
  oids.basicConstraints,
  oids.extendedKeyUsage,
]);

const signatureAlgorithms: ReadonlySet<string> = new Set([
  "1.2.840.10045.4.3.2", // ECDSA with SHA-256, -384, -512
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
  "1.3.101.112", // Ed25519
  "1.2.840.113549.1.1.11", // RSA with SHA-256, -384, -512
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
]);

/** GeneralName's choices in DER (RFC 5280 4.2.1.6), strings primitive. */
const nameTags: ReadonlySet<number> = new Set([0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88]);

export const usageBits = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const;

export function refused(why: string, cause?: unknown): AshlarError {
  return new AshlarError("invalid_identity", `certificate: ${why}`, cause === undefined ? {} : { cause });
}

/** The URI names of a certificate. Fails with `invalid_identity` if its names are malformed. */
export function readUriNames(der: Uint8Array): readonly string[] {
  return readUris(readCertificate(der));
}

export function readUris(fields: CertificateFields): readonly string[] {
  const extension = fields.extensions.get(oids.subjectAltName);
  if (extension === undefined) return [];
  const uris: string[] = [];
  for (const name of readDerList(readDer(extension.value, 0x30).content)) {
    if (!nameTags.has(name.tag)) throw refused("a subject alternative name of no known kind");
    const isText = name.tag === 0x81 || name.tag === 0x82 || name.tag === 0x86; // rfc822Name, dNSName, URI: IA5String
    if (isText && name.content.some((byte) => byte < 0x20 || byte > 0x7e)) {
      throw refused("a control byte or a byte outside ASCII in a subject alternative name");
    }
    if (name.tag === 0x86) uris.push(Buffer.from(name.content).toString("latin1"));
  }
  return uris;
}

export function readBasicConstraints(fields: CertificateFields): {
  readonly isCa: boolean;
  readonly pathLength: number;
} {
  const extension = fields.extensions.get(oids.basicConstraints);
  if (extension === undefined) return { isCa: false, pathLength: 0 };
  const nodes = readDerList(readDer(extension.value, 0x30).content);
  const flag = nodes[0]?.tag === 0x01 ? nodes.shift() : undefined;
  const isCa = flag !== undefined && readTrue(flag);
  const length = nodes.shift();
  if (nodes.length > 0) throw refused("basic constraints with too many parts");
  return { isCa, pathLength: length === undefined ? Number.POSITIVE_INFINITY : readSmallInteger(length) };
}

export function readKeyUsage(fields: CertificateFields): { readonly critical: boolean; has(bit: number): boolean } {
  const extension = fields.extensions.get(oids.keyUsage);
  if (extension === undefined) throw refused("no key usage");
  const bits = readBits(readDer(extension.value, 0x03));
  return { critical: extension.critical, has: (bit) => bits.has(bit) };
}

export function checkCommon(fields: CertificateFields): void {
  for (const { oid, critical } of fields.extensions.values()) {
    if (critical && !understood.has(oid)) throw refused(`critical extension ${oid} is not understood`);
  }
  if (!signatureAlgorithms.has(fields.signatureAlgorithm)) {
    throw refused(`signature algorithm ${fields.signatureAlgorithm} is not accepted`);
  }
}

export function checkExtendedUsage(fields: CertificateFields, isReader: boolean): void {
  const extension = fields.extensions.get(oids.extendedKeyUsage);
  if (extension === undefined && !isReader) return;
  const nodes = extension === undefined ? [] : readDerList(readDer(extension.value, 0x30).content);
  const usages = nodes.map((node) => readOid(node.content));
  if (isReader) {
    if (usages.length === 1 && usages[0] === oids.clientAuth) return;
    throw refused("a reader's, whose extended key usage is not clientAuth alone");
  }
  if (!usages.includes(oids.serverAuth) || !usages.includes(oids.clientAuth)) {
    throw refused("extended key usage without both serverAuth and clientAuth");
  }
}

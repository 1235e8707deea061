/** Issues X.509 certificates (RFC 5280) for ECDSA P-256 keys, synchronously. */
import { createHash, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AsnParser, OctetString } from "@peculiar/asn1-schema";
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  type SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { AshlarError } from "../core/errors.js";
import { readCertificate } from "./tls-identity-der.js";
import { signEcdsa } from "./tls-identity-keys.js";
import { ecdsaSha256, encodeDer, parsePublicKey, toArrayBuffer } from "./tls-identity-write.js";

export {
  fromPem,
  generatePrivateKeyPem,
  publicKeyDer,
  signEcdsa,
  thumbprintOf,
  toPem,
  verifyEcdsa,
} from "./tls-identity-keys.js";
export { buildCsr, type CertificateRequest, parseCsr } from "./tls-identity-request.js";

/** A certificate that may sign others, with its key. */
export interface Issuer {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

export interface CertificateContents {
  /** The serial number, big end first, positive and at most 20 bytes (RFC 5280 4.1.2.2). */
  readonly serial: Uint8Array;
  /** For people only; the identity is the URI name. */
  readonly organization: string;
  readonly commonName: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  readonly uri: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** The path length of a CA; undefined: the certificate is a leaf. */
  readonly pathLength?: number;
  /** The leaf proves a client alone. Default: a client and a server. */
  readonly isClientAlone?: boolean;
}

/** Issues a certificate. Without an issuer's certificate it is signed by `selfKey`, its own key. */
export function issueCertificate(
  contents: CertificateContents,
  issuer: Issuer | { readonly selfKey: KeyObject },
): Uint8Array {
  const isSelf = "selfKey" in issuer;
  const key = parsePublicKey(contents.publicKey);
  const subject = nameOf(contents.organization, contents.commonName);
  const parent = isSelf ? undefined : readCertificate(issuer.certificate);
  const parentKey = parent === undefined ? key : parsePublicKey(parent.publicKey);
  const body = new TBSCertificate({
    version: Version.v3,
    serialNumber: toArrayBuffer(toInteger(contents.serial)),
    signature: ecdsaSha256(),
    issuer: parent === undefined ? subject : AsnParser.parse(parent.subject, Name),
    validity: new Validity({ notBefore: new Date(contents.notBeforeMs), notAfter: new Date(contents.notAfterMs) }),
    subject,
    subjectPublicKeyInfo: key,
    extensions: new Extensions([
      extension(
        id_ce_authorityKeyIdentifier,
        false,
        new AuthorityKeyIdentifier({ keyIdentifier: identifierOf(parentKey) }),
      ),
      extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(identifierOf(key).buffer)),
      ...usageExtensions(contents),
      extension(id_ce_subjectAltName, false, alternativeNames(contents)),
    ]),
  });
  const signature = toArrayBuffer(signEcdsa(encodeDer(body), isSelf ? issuer.selfKey : issuer.privateKey));
  const signed = { signatureAlgorithm: ecdsaSha256(), signatureValue: signature };
  return new Uint8Array(encodeDer(new Certificate({ tbsCertificate: body, ...signed })));
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(encodeDer(value)) });
}

function usageExtensions({ pathLength, isClientAlone = false }: CertificateContents): readonly Extension[] {
  if (pathLength !== undefined) {
    const ca = new BasicConstraints({ cA: true, pathLenConstraint: pathLength });
    const usage = new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign);
    return [extension(id_ce_basicConstraints, true, ca), extension(id_ce_keyUsage, true, usage)];
  }
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints()),
    extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
    extension(
      id_ce_extKeyUsage,
      false,
      new ExtendedKeyUsage(isClientAlone ? [id_kp_clientAuth] : [id_kp_serverAuth, id_kp_clientAuth]),
    ),
  ];
}

function alternativeNames({ uri, dnsNames, ipAddresses }: CertificateContents): SubjectAlternativeName {
  return new SubjectAlternativeName([
    new GeneralName({ uniformResourceIdentifier: uri }),
    ...(dnsNames ?? []).map((dNSName) => new GeneralName({ dNSName })),
    ...(ipAddresses ?? []).map((iPAddress) => new GeneralName({ iPAddress: checkAddress(iPAddress) })),
  ]);
}

function checkAddress(address: string): string {
  const version = isIP(address);
  if (version === 0 || (version === 6 && /[.%]/.test(address))) {
    throw new AshlarError("invalid_argument", `not an IP address: ${address}`);
  }
  return address;
}

/** Returns a distinguished name; an empty part is left out. */
function nameOf(organization: string, commonName: string): Name {
  const parts = [
    ["2.5.4.10", organization],
    ["2.5.4.3", commonName],
  ] as const;
  return new Name(
    parts.flatMap(([type, text]) => {
      if (Buffer.byteLength(text) > 64) throw new AshlarError("invalid_identity", `longer than 64 bytes: ${text}`);
      if (text === "") return [];
      const value = new AttributeValue({ utf8String: text });
      return [new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })])];
    }),
  );
}

/** Returns the content of a positive INTEGER in its shortest form, without a sign bit (X.690 8.3). */
function toInteger(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  const trimmed = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return (trimmed[0] ?? 0) < 0x80 ? trimmed : Uint8Array.of(0, ...trimmed);
}

/** Returns the key identifier by RFC 7093 method 1: the leftmost 160 bits of the key's SHA-256. */
function identifierOf(key: SubjectPublicKeyInfo): KeyIdentifier {
  const hash = createHash("sha256").update(Buffer.from(key.subjectPublicKey)).digest();
  return new KeyIdentifier(toArrayBuffer(hash.subarray(0, 20)));
}

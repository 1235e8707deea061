/** What certificates and certificate requests share when they are written (RFC 5280, RFC 2986). */
import { AsnParser, AsnSerializer } from "@peculiar/asn1-schema";
import { AlgorithmIdentifier, SubjectPublicKeyInfo } from "@peculiar/asn1-x509";

/** A value of the schema as DER. */
export const encodeDer = (value: object): Buffer => Buffer.from(AsnSerializer.serialize(value));

/** ECDSA with SHA-256 (RFC 5758 3.2). */
export const ecdsaSha256 = (): AlgorithmIdentifier => new AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" });

/** A public key of our own making or already checked: the parser is no judge of strangers' bytes. */
export const parsePublicKey = (der: Uint8Array): SubjectPublicKeyInfo => AsnParser.parse(der, SubjectPublicKeyInfo);

/** A copy in the form that the schema's fields have. */
export const toArrayBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

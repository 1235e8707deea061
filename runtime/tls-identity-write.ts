/** Helpers for writing certificates and certificate requests (RFC 5280, RFC 2986). */
import { AsnParser, AsnSerializer } from "@peculiar/asn1-schema";
import { AlgorithmIdentifier, SubjectPublicKeyInfo } from "@peculiar/asn1-x509";

/** Encodes a value of the schema as DER. */
export const encodeDer = (value: object): Buffer => Buffer.from(AsnSerializer.serialize(value));

/** Returns the AlgorithmIdentifier of ECDSA with SHA-256 (RFC 5758 3.2). */
export const ecdsaSha256 = (): AlgorithmIdentifier => new AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" });

/** Parses a public key that we made or have already checked; the library's parser must not judge untrusted bytes. */
export const parsePublicKey = (der: Uint8Array): SubjectPublicKeyInfo => AsnParser.parse(der, SubjectPublicKeyInfo);

/** Returns a copy in the type that the schema's fields have. */
export const toArrayBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

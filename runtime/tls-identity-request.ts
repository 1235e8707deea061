/** PKCS #10 certificate requests (RFC 2986) for ECDSA P-256 keys, synchronously. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnParser } from "@peculiar/asn1-schema";
import { AshlarError } from "../core/errors.js";
import { publicKeyDer, signEcdsa, thumbprintOf, verifyEcdsa } from "./tls-identity-keys.js";
import { ecdsaSha256, encodeDer, parsePublicKey, toArrayBuffer } from "./tls-identity-write.js";

export interface CertificateRequest {
  /** The SubjectPublicKeyInfo in DER, of an ECDSA P-256 key. */
  readonly publicKey: Uint8Array;
  /** The SHA-256 of `publicKey` in lower-case hexadecimal. */
  readonly thumbprint: string;
}

const requestBytesMax = 8 * 1024;
/** Bounds for parsing bytes that are not yet known to be a request; about 30 nodes are usual. */
const requestBounds = {
  berOptions: { maxDepth: 16, maxNodes: 256, maxContentLength: requestBytesMax, parseEmbedded: false },
};

/** The AlgorithmIdentifier of an ECDSA P-256 key (RFC 5480): id-ecPublicKey, prime256v1. */
const p256 = Buffer.from("301306072a8648ce3d020106082a8648ce3d030107", "hex");

/**
 * Builds a certificate request for `privateKey` with an empty subject, because the request does not decide whom the
 * certificate is for.
 */
export function buildCsr(privateKeyPem: string): Uint8Array {
  const key = createPrivateKey(privateKeyPem);
  const info = new CertificationRequestInfo({ subjectPKInfo: parsePublicKey(publicKeyDer(key)) });
  const signed = { signatureAlgorithm: ecdsaSha256(), signature: toArrayBuffer(signEcdsa(encodeDer(info), key)) };
  return new Uint8Array(encodeDer(new CertificationRequest({ certificationRequestInfo: info, ...signed })));
}

/**
 * Parses a certificate request in DER (P-256 key, at most 8 KiB) and checks that its own key signed it. Subject and
 * attributes are ignored. Fails with `invalid_argument`.
 */
export function parseCsr(der: Uint8Array): CertificateRequest {
  const { certificationRequestInfo: info, signatureAlgorithm, signature } = readRequest(der);
  if (!signatureAlgorithm.isEqual(ecdsaSha256())) throw badRequest("not signed by ECDSA with SHA-256");
  const publicKey = encodeDer(info.subjectPKInfo);
  const { algorithm } = info.subjectPKInfo;
  if (!encodeDer(algorithm).equals(p256)) throw badRequest(`the key is not ECDSA P-256 (${algorithm.algorithm})`);
  if (!verifyEcdsa(encodeDer(info), new Uint8Array(signature), publicKey))
    throw badRequest("its signature does not hold");
  // one encoding per key: a second encoding would have a second thumbprint
  const canonical = publicKeyDer(createPublicKey({ key: publicKey, format: "der", type: "spki" }));
  return { publicKey: canonical, thumbprint: thumbprintOf(canonical) };
}

function badRequest(why: string, cause?: unknown): AshlarError {
  return new AshlarError("invalid_argument", `certificate request: ${why}`, cause === undefined ? {} : { cause });
}

/** Parses DER. The library also accepts BER and trailing bytes, so the result must encode to exactly the same bytes. */
function readRequest(der: Uint8Array): CertificationRequest {
  if (der.length > requestBytesMax) throw badRequest(`${der.length} bytes, at most ${requestBytesMax} are read`);
  try {
    const request = AsnParser.parse(der, CertificationRequest, requestBounds);
    if (encodeDer(request).equals(der)) return request;
  } catch (cause) {
    throw badRequest("not a PKCS #10 request", cause);
  }
  throw badRequest("not a PKCS #10 request in DER");
}

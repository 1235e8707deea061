/** Certificates of those who take part in the mesh, under an intermediate CA. */
import type { SpiffeId } from "../../core/identity.js";
import { issueCertificate } from "../../runtime/tls-identity-issue.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import type { CertificateAuthority } from "./authority-file.js";
import { serialFrom, skewMs } from "./ca-certificates.js";

export interface IssuedCertificate {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first, without the root. */
  readonly chainDer: readonly Uint8Array[];
  readonly chainPem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
}

/** Whom a certificate is for. */
export interface Subject {
  readonly uri: SpiffeId;
  readonly organization: string;
  readonly commonName: string;
  readonly publicKey: Uint8Array;
  readonly ttlMs: number;
  readonly isClientAlone?: boolean;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** Issues a certificate under `signing`, which it does not outlive. */
export function issueLeaf(
  subject: Subject,
  signing: CertificateAuthority,
  nowMs: number,
  random: (count: number) => Uint8Array,
): IssuedCertificate {
  const serial = serialFrom(random);
  const notAfterMs = Math.min(nowMs + subject.ttlMs, signing.notAfterMs);
  const leaf = issueCertificate(
    { ...subject, serial, notBeforeMs: nowMs - Math.min(skewMs, subject.ttlMs / 2), notAfterMs },
    signing,
  );
  const chainDer = [leaf, signing.certificate];
  const hex = Buffer.from(serial).toString("hex");
  const lived = Math.floor(notAfterMs / 1000) * 1000; // certificates have whole seconds
  return { spiffeId: subject.uri, chainDer, chainPem: toPem(chainDer), serial: hex, notAfterMs: lived };
}

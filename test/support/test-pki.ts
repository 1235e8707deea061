/** A small certificate authority for tests. It issues X.509-SVIDs for any identity. */
import { parseCallerSvid, parseSvid } from "../../runtime/tls-identity.js";
import {
  extended,
  extendedUsage,
  leafExtensions,
  makeCertificate,
  makeIntermediate,
  makeRoot,
  type TestCertificate,
} from "./certificates.js";

export interface TestSvid {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly serial: string;
  readonly notAfterMs: number;
}

export class TestPki {
  readonly rootPem: string;
  /** The intermediate that signs leaves, as in a real mesh. */
  readonly #issuer: TestCertificate;

  constructor(mesh: string) {
    const root = makeRoot(mesh);
    this.#issuer = makeIntermediate(root, mesh);
    this.rootPem = pemOf(root.der);
  }

  /** A certificate of an application beside the proxy whose certificate has the serial number `parent`. */
  issueReader(spiffeId: string, parent: string): TestSvid {
    const { der, keyPem } = makeCertificate({
      issuer: this.#issuer,
      organization: parent,
      extensions: leafExtensions(spiffeId, { extended: extended(extendedUsage.client) }),
    });
    const { serial, notAfterMs } = parseCallerSvid(der);
    return { certificateChainPem: pemOf(der) + pemOf(this.#issuer.der), privateKeyPem: keyPem, serial, notAfterMs };
  }

  issue(spiffeId: string, ttlMs = 3_600_000): TestSvid {
    const { der, keyPem } = makeCertificate({
      issuer: this.#issuer,
      extensions: leafExtensions(spiffeId),
      notAfterMs: Date.now() + ttlMs,
    });
    const { serial, notAfterMs } = parseSvid(der);
    return { certificateChainPem: pemOf(der) + pemOf(this.#issuer.der), privateKeyPem: keyPem, serial, notAfterMs };
  }
}

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

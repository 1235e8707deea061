/** The certificate of the console: files of the operator, read again when they change, or one that the mesh issues. */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { TlsOptions } from "node:tls";
import { AshlarError, messageOf } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import type { Logger } from "../../runtime/log.js";
import type { IssuedIdentity } from "../identity/authority.js";

export interface CertificateFiles {
  /** PEM, leaf first. */
  readonly certificateFile: string;
  /** PEM. */
  readonly keyFile: string;
}

interface Shown {
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

const lookAgainMs = 60_000;

/**
 * Returns the TLS options. An operator may present a certificate: it is requested, not required, and verified against
 * the mesh's CA.
 */
function optionsOf(caPem: string, { chainPem, privateKeyPem }: Shown): TlsOptions {
  const asked = { requestCert: true, rejectUnauthorized: false };
  return { ca: caPem, cert: chainPem, key: privateKeyPem, minVersion: "TLSv1.2", ...asked };
}

export class ConsoleTls {
  readonly #caPem: string;
  #shown: Shown;
  #onRenew: (next: TlsOptions) => void = () => {};

  constructor(caPem: string, first: Shown) {
    this.#caPem = caPem;
    this.#shown = first;
  }

  get options(): TlsOptions {
    return optionsOf(this.#caPem, this.#shown);
  }

  onRenew(listener: (next: TlsOptions) => void): void {
    this.#onRenew = listener;
  }

  renew(next: IssuedIdentity | Shown): void {
    this.#shown = next;
    this.#onRenew(this.options);
  }

  /** Returns the SHA-256 of the certificate in lower-case hexadecimal. */
  sha256(): string {
    return createHash("sha256").update(new X509Certificate(this.#shown.chainPem).raw).digest("hex");
  }

  /** Returns the DNS names of the certificate in lower case; one may begin with "*.". */
  names(): readonly string[] {
    const listed = new X509Certificate(this.#shown.chainPem).subjectAltName ?? "";
    return [...listed.matchAll(/DNS:([^,"\s]+)/g)].map(([, name = ""]) => name.toLowerCase());
  }

  /**
   * Reads the files again every minute. Files that cannot be used are reported once, and the certificate in use stays.
   */
  follow(files: CertificateFiles, log: Logger): () => void {
    let said = "";
    const timer = setInterval(async () => {
      try {
        const next = await readCertificateFiles(files);
        if (next.chainPem !== this.#shown.chainPem || next.privateKeyPem !== this.#shown.privateKeyPem) {
          this.renew(next);
          log.info("the console's certificate was read again", { file: files.certificateFile });
        }
        said = "";
      } catch (error) {
        const why = messageOf(error);
        if (why !== said) log.error("the console's certificate cannot be read again", { why });
        said = why;
      }
    }, lookAgainMs);
    timer.unref();
    return () => clearInterval(timer);
  }
}

/** Reads the files. Fails with `invalid_argument` and one line. */
export async function readCertificateFiles({ certificateFile, keyFile }: CertificateFiles): Promise<Shown> {
  const [chainPem, privateKeyPem] = [await readPem(certificateFile), await readPem(keyFile)];
  try {
    const leaf = new X509Certificate(chainPem);
    if (!leaf.checkPrivateKey(createPrivateKey(privateKeyPem)))
      throw new AshlarError("invalid_argument", `the key ${keyFile} is not that of the certificate`);
    return { chainPem, privateKeyPem };
  } catch (cause) {
    if (cause instanceof AshlarError) throw new AshlarError(cause.code, `--console-cert: ${cause.message}`, { cause });
    const why = `--console-cert: ${certificateFile} and ${keyFile} are no certificate with its key in PEM`;
    throw new AshlarError("invalid_argument", why, { cause });
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new AshlarError("invalid_argument", `--console-cert: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

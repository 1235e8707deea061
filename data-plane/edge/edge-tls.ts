/**
 * TLS of one listener of a gateway: certificates by host name from files that may change, and the identities of
 * clients.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { createSecureContext, type SecureContext, type SecureContextOptions, type TLSSocket } from "node:tls";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isClientName } from "../../core/snapshot/grammar.js";
import { fileReason } from "../../runtime/file-reason.js";
import type { Logger } from "../../runtime/log.js";
import { readUriNames } from "../../runtime/tls-identity.js";
import type { CertificateFiles, EdgeListenerConfig } from "./edge-config.js";

interface Loaded {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
  readonly leaf: X509Certificate;
}

export class EdgeTls {
  readonly #config: EdgeListenerConfig;
  readonly #log: Logger;
  #loaded: readonly Loaded[] = [];
  #clientCas: readonly X509Certificate[] = [];
  #seen = "";
  readonly #listeners: (() => void)[] = [];

  private constructor(config: EdgeListenerConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** Reads the files. Fails with `invalid_argument` if one cannot be used. */
  static async open(config: EdgeListenerConfig, log: Logger): Promise<EdgeTls> {
    const tls = new EdgeTls(config, log);
    tls.#seen = await tls.#stamp();
    await tls.#load();
    return tls;
  }

  /** Calls `listener` when changed files were read. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The context for handshakes without a server name. */
  get context(): SecureContextOptions {
    return this.#loaded[0]?.options ?? {};
  }

  /**
   * Selects the certificate by the server name; a name without a certificate ends the handshake. IP addresses are no
   * names (RFC 6066, 3), although gRPC clients send them.
   */
  readonly sni = (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
    const found = isIP(name) === 0 ? this.#find(name) : this.#loaded[0];
    if (found === undefined) done(new Error(`no certificate is for ${name.slice(0, 253)}`));
    else done(null, found.context);
  };

  /** Returns whether the certificate that a client was given, by the name it asked for, is also valid for `host`. */
  isShownFor(servername: string, host: string): boolean {
    const shown = this.#find(servername);
    return shown?.leaf.checkHost(host) !== undefined || shown?.leaf.checkIP(host) !== undefined;
  }

  /** Returns whether a CA that is taken now signed one of these certificates. */
  hasSigned(chain: readonly X509Certificate[]): boolean {
    return chain.some((one) => this.#clientCas.some((ca) => one.checkIssued(ca) && one.verify(ca.publicKey)));
  }

  #find(name: string): Loaded | undefined {
    return this.#loaded.find(({ leaf }) => leaf.checkHost(name) !== undefined);
  }

  /** Reads the files again if they have changed. Never fails. */
  async look(): Promise<void> {
    try {
      const seen = await this.#stamp();
      if (seen === this.#seen) return;
      await this.#load();
      this.#seen = seen;
      this.#log.info("certificates were read anew", { listener: this.#config.name });
      for (const listener of this.#listeners) listener();
    } catch (error) {
      this.#log.warn("certificates cannot be read anew: the old ones stay in use", {
        listener: this.#config.name,
        error: messageOf(error),
      });
    }
  }

  async #stamp(): Promise<string> {
    const { certificates, clientCa } = this.#config;
    const files = [
      ...certificates.flatMap(({ certificate, key }) => [certificate, key]),
      ...(clientCa ? [clientCa] : []),
    ];
    const stamps = files.map(async (file) => {
      const { mtimeMs, size, ino } = await stat(file).catch((error: unknown) => unreadable(file, error));
      return `${mtimeMs} ${size} ${ino}`;
    });
    return (await Promise.all(stamps)).join();
  }

  async #load(): Promise<void> {
    const { certificates, clientCa } = this.#config;
    const ca = clientCa === undefined ? undefined : await readText(clientCa);
    const clientCas = clientCa === undefined || ca === undefined ? [] : readCas(clientCa, ca);
    this.#loaded = await Promise.all(certificates.map((files) => loadOne(files, ca)));
    this.#clientCas = clientCas;
  }
}

const chainMax = 8;
const pemBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function readCas(file: string, pem: string): readonly X509Certificate[] {
  try {
    const found = (pem.match(pemBlock) ?? []).map((block) => new X509Certificate(block));
    if (found.length > 0) return found;
  } catch (error) {
    throw new AshlarError("invalid_argument", `${file} holds a CA that cannot be read: ${messageOf(error)}`);
  }
  throw new AshlarError("invalid_argument", `${file} holds no certificate of a CA in PEM`);
}

async function loadOne({ certificate, key }: CertificateFiles, ca: string | undefined): Promise<Loaded> {
  const [certPem, keyPem] = [await readText(certificate), await readText(key)];
  const options: SecureContextOptions = { cert: certPem, key: keyPem, ...(ca === undefined ? {} : { ca }) };
  try {
    const leaf = new X509Certificate(certPem);
    // SSL_OP_NO_TICKET: connections are not resumed, so every client proves its certificate
    return {
      options,
      context: createSecureContext({ ...options, minVersion: "TLSv1.2", secureOptions: 0x4000 }),
      leaf,
    };
  } catch (error) {
    throw new AshlarError(
      "invalid_argument",
      `${certificate} with ${key} is no certificate with its key: ${messageOf(error)}`,
    );
  }
}

async function readText(file: string): Promise<string> {
  return readFile(file, "utf8").catch((error: unknown) => unreadable(file, error));
}

function unreadable(file: string, error: unknown): never {
  throw new AshlarError("invalid_argument", `cannot read ${file}: ${fileReason(error)}`);
}

/** A client that proved a certificate issued by the listener's CAs. */
export interface ProvedClient {
  /** The URI in its certificate if there is exactly one, otherwise the hash of its key. */
  readonly name: string;
  readonly notAfterMs: number;
  /** Its certificate and those that it sent with it. */
  readonly chain: readonly X509Certificate[];
}

/** The certificates of each connection: Node returns them only to the first caller. */
const provedBefore = new WeakMap<TLSSocket, ProvedClient>();

/**
 * Returns the client at the other end; undefined: it proved no certificate issued by the listener's CAs. Fails with `unauthenticated` on
 * a certificate for direct reads in `mesh`, whose root may be one of those CAs.
 */
export function provedClient(socket: TLSSocket, mesh: string): ProvedClient | undefined {
  const known = provedBefore.get(socket);
  const certificate = known === undefined && socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return known;
  const [uri, ...more] = readUriNames(certificate.raw);
  const isNamed = uri !== undefined && more.length === 0 && isClientName(uri);
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  const name = isNamed ? uri : `sha256:${createHash("sha256").update(key).digest("hex")}`;
  if (name.startsWith(`spiffe://${mesh}/reader/`))
    throw new AshlarError("unauthenticated", "a certificate for direct reads makes no outside client");
  const chain = [certificate];
  for (let next = certificate.issuerCertificate; next && chain.length < chainMax; next = next.issuerCertificate)
    chain.push(next);
  const proved = { name, notAfterMs: Date.parse(certificate.validTo), chain };
  provedBefore.set(socket, proved);
  return proved;
}

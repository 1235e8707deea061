/** Connects to an external destination over TLS, and verifies that it is the one in the trust log. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import type { TrustedEgress } from "../../core/egress/trusted-egress.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import type { AfterTime } from "../../runtime/lost-time.js";

/** The files of the client key that proves who we are. Plain data. */
export interface EgressKey {
  readonly name: string;
  /** The files of the certificate chain and its key, both in PEM. */
  readonly certificate: string;
  readonly key: string;
}

const connectTimeoutMs = 5000;

/** Returns the host that the certificate must be valid for. */
export function serverNameOf({ address, serverName }: TrustedEgress): string {
  return serverName === "" ? hostOf(address) : serverName;
}

/** Returns "host" of "host:443" or "[::1]:443". */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/**
 * Connects to one address of an egress. Fails with `unavailable` if it cannot be reached, does not speak h2, or lacks
 * the client's key, and with `invalid_identity` if its certificate is not for its name or not by its CA.
 */
export async function dialOutside(
  egress: TrustedEgress,
  address: string,
  keys: readonly EgressKey[],
  after: AfterTime,
): Promise<Socket> {
  const proof = await readProof(egress, keys);
  const name = serverNameOf(egress);
  const where = `${egress.name} at ${isIP(address) === 6 ? `[${address}]` : address}:${portOf(egress.address)}`;
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port: portOf(egress.address),
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(egress.ca === "" ? {} : { ca: egress.ca }),
      ...proof,
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
    });
    const fail = (error: unknown): void => {
      inTime();
      socket.destroy();
      reject(asRefusal(error, where));
    };
    const inTime = after(connectTimeoutMs, () => fail(new Error("no TLS handshake within 5 s")));
    socket.once("error", fail);
    const closed = (): void => fail(new Error("the connection was closed"));
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== "h2") return fail(new Error("it does not speak h2"));
      inTime();
      socket.off("error", fail);
      socket.off("close", closed);
      socket.setNoDelay(true);
      socket.on("error", () => {}); // "close" reports its end
      return resolve(socket);
    });
  });
}

/** Error codes of node:tls about the other side's certificate. */
const isAboutCertificate = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME|CRL|INVALID_(CA|PURPOSE)|PATH_LENGTH/;

function asRefusal(error: unknown, where: string): AshlarError {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const isWrong = isAboutCertificate.test(code) && !code.startsWith("ERR_SSL");
  return new AshlarError(isWrong ? "invalid_identity" : "unavailable", `${where}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** Reads the certificate and key for an egress that requires one, as they are on disk now. */
async function readProof(
  { name, clientKeyName, clientCert }: TrustedEgress,
  keys: readonly EgressKey[],
): Promise<{ readonly cert?: string; readonly key?: string }> {
  if (clientKeyName === "") return {};
  const files = keys.find((one) => one.name === clientKeyName);
  if (files === undefined)
    throw new AshlarError(
      "unavailable",
      `${name} asks for the key ${clientKeyName}, which this process does not have: give --egress-key ${clientKeyName}=CERT,KEY`,
    );
  const { cert, key } = await readKeyFiles(files);
  if (clientCert !== "" && !hasSameKey(cert, clientCert))
    throw new AshlarError(
      "unavailable",
      `${name} asks for the key ${clientKeyName} as the trust log has its certificate, and ${files.certificate} has another key`,
    );
  return { cert, key };
}

/** Reads the files. Fails with `unavailable`. */
async function readKeyFiles(files: EgressKey): Promise<{ readonly cert: string; readonly key: string }> {
  const read = async (path: string): Promise<string> => {
    try {
      return await readFile(path, "utf8");
    } catch (cause) {
      throw new AshlarError("unavailable", `--egress-key ${files.name}: cannot read ${path}: ${fileReason(cause)}`, {
        cause,
      });
    }
  };
  return { cert: await read(files.certificate), key: await read(files.key) };
}

function hasSameKey(one: string, other: string): boolean {
  try {
    const spki = (pem: string): Buffer => new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
    return spki(one).equals(spki(other));
  } catch {
    return false;
  }
}

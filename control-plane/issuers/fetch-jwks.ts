/** Reads a key set over https: no redirects, no private addresses unless asked for, bounded in time and size. */

import type { LookupAddress } from "node:dns";
import { request } from "node:https";
import { isIP } from "node:net";
import { AshlarError, messageOf } from "../../core/errors.js";
import { jwksBytesMax } from "../../core/token/jwks.js";
import { onAbort } from "../../runtime/abort.js";
import { isPublicAddress } from "../../runtime/public-address.js";

export interface JwksSource {
  readonly url: string;
  readonly allowPrivateAddress: boolean;
  /** The CA certificates, in PEM, that the server is verified by; "": the public CAs. */
  readonly ca: string;
}

/** Resolves all addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

const timeoutMs = 5000;
const urlLengthMax = 2048;

/** Parses the URL of a key set. Fails with `invalid_argument` unless it is plain https. */
export function parseJwksUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url?.protocol !== "https:" ||
    url.username !== "" ||
    url.password !== "" ||
    url.hash !== "" ||
    text.length > urlLengthMax
  )
    throw new AshlarError(
      "invalid_argument",
      `the URL of a key set is https, without user, password and fragment, got ${JSON.stringify(text.slice(0, 200))}`,
    );
  return url;
}

/**
 * Fetches the text of a key set. Every address of the host must be public (or allowed), and the connection goes to one
 * that was checked. Fails with `invalid_argument` on a forbidden address, with `unavailable` on anything but a 200
 * within 5 s, and with `limit` above 64 KiB.
 */
export async function fetchJwks(source: JwksSource, resolve: Resolve, signal: AbortSignal): Promise<string> {
  const url = parseJwksUrl(source.url);
  const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const address = await within(pickAddress(url, source.allowPrivateAddress, resolve), ended);
    return await get(url, address, source.ca, ended);
  } catch (cause) {
    if (cause instanceof AshlarError) throw cause;
    const why = ended.aborted && !signal.aborted ? `no answer within ${timeoutMs / 1000} s` : messageOf(cause);
    throw new AshlarError("unavailable", `the key set at ${url.href} cannot be read: ${why}`, { cause });
  }
}

async function pickAddress(url: URL, allowPrivate: boolean, resolve: Resolve): Promise<LookupAddress> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(host);
  const all = family === 0 ? await resolve(host) : [{ address: host, family }];
  const [first] = all;
  if (first === undefined) throw new Error(`${host} has no address`);
  const hidden = allowPrivate ? undefined : all.find(({ address }) => !isPublicAddress(address));
  if (hidden === undefined) return first;
  throw new AshlarError(
    "invalid_argument",
    `the key set at ${url.href} is at ${hidden.address}, which is no public address: --allow-private-address allows it`,
  );
}

function get(url: URL, { address, family }: LookupAddress, ca: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      {
        signal,
        agent: false,
        headers: { accept: "application/jwk-set+json, application/json", "accept-encoding": "identity" },
        // the name is resolved once, so that the checked address is the one that is dialled
        lookup: (_host, options, found) => {
          if (options.all === true) found(null, [{ address, family }]);
          else found(null, address, family);
        },
        ...(ca === "" ? {} : { ca }),
      },
      (response) => {
        const { statusCode = 0 } = response;
        if (statusCode !== 200) {
          response.destroy();
          const moved =
            statusCode >= 300 && statusCode < 400 ? "; redirects are not followed: give the URL it leads to" : "";
          reject(new AshlarError("unavailable", `the key set at ${url.href}: HTTP ${statusCode}${moved}`));
          return;
        }
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes <= jwksBytesMax) return;
          response.destroy();
          reject(new AshlarError("limit", `the key set at ${url.href} has more than ${jwksBytesMax} bytes`));
        });
        response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
        response.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.end();
  });
}

function within<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => reject(new Error("it was given up")));
    work.then(resolve, reject).finally(off);
  });
}

/** The parts of a trust record, parsed strictly. All functions fail with `invalid_record`. */

import { egressesMax, type TrustedEgress, whyNotEgress } from "../egress/trusted-egress.js";
import { AshlarError } from "../errors.js";
import { isHolderKey } from "../journal/private/keys.js";
import type { JournalHolder, SigningKey, TrustBundle } from "../model.js";
import { keyIdOf } from "../signature.js";
import { jwksBytesMax } from "../token/jwks.js";
import type { TrustedIssuer } from "../token/token-model.js";
import { issuersMax } from "../trust.js";
import { ascending, boundedList, boundedText, integer, label, token } from "./bounds.js";

const rootsCountMax = 16;
const rootBytesMax = 16 * 1024;
const issuerBytesMax = { issuer: 512, url: 2048, ca: 64 * 1024 } as const;

const egressNetworksMax = 32;
const egressPemBytesMax = 32 * 1024;

const domain = (field: string, text: string): string => {
  if (!/^[a-z0-9._-]{1,255}$/.test(text)) throw new AshlarError("invalid_record", `${field} is not a trust domain`);
  return text;
};

export function parseSigningKey(key: SigningKey): SigningKey {
  const publicKey = new Uint8Array(key.publicKey);
  if (publicKey.length !== 32 || keyIdOf(publicKey) !== key.kid) {
    throw new AshlarError("invalid_record", "signing_keys: a kid is not the thumbprint of its key");
  }
  return { kid: key.kid, publicKey, holder: boundedText("signing_keys.holder", key.holder, 256) };
}

export function parseBundle(bundle: { trustDomain: string; x509Roots: readonly Uint8Array[] }): TrustBundle {
  const roots = boundedList("bundles.x509_roots", bundle.x509Roots, rootsCountMax);
  if (roots.some((root) => root.length === 0 || root.length > rootBytesMax)) {
    throw new AshlarError("invalid_record", `bundles.x509_roots: a root is empty or larger than ${rootBytesMax} bytes`);
  }
  return {
    trustDomain: domain("bundles.trust_domain", bundle.trustDomain),
    x509Roots: roots.map((root) => new Uint8Array(root)),
  };
}

export function parseSerial(serial: string): string {
  if (!/^[0-9a-f]{1,64}$/.test(serial)) {
    throw new AshlarError("invalid_record", "revocations.serial is not lower-case hexadecimal");
  }
  return serial;
}

function parseIssuer(issuer: TrustedIssuer): TrustedIssuer {
  const url = boundedText("issuers.jwks_url", issuer.jwksUrl, issuerBytesMax.url);
  if (url !== "" && !url.startsWith("https://"))
    throw new AshlarError("invalid_record", "issuers.jwks_url is not an https URL");
  return {
    name: label("issuers.name", issuer.name),
    issuer: token("issuers.issuer", issuer.issuer, issuerBytesMax.issuer),
    jwks: boundedText("issuers.jwks", issuer.jwks, jwksBytesMax),
    jwksUrl: url,
    fetchedMs: integer("issuers.fetched_ms", issuer.fetchedMs, 0),
    allowPrivateAddress: issuer.allowPrivateAddress,
    jwksCa: boundedText("issuers.jwks_ca", issuer.jwksCa, issuerBytesMax.ca),
  };
}

export function parseIssuers(messages: readonly TrustedIssuer[]): readonly TrustedIssuer[] {
  const bounded = boundedList("issuers", messages, issuersMax);
  const issuers = ascending("issuers", bounded, (issuer) => issuer.name).map(parseIssuer);
  if (new Set(issuers.map(({ issuer }) => issuer)).size < issuers.length)
    throw new AshlarError("invalid_record", "issuers: two have the same issuer");
  return issuers;
}

function parseEgress(egress: TrustedEgress): TrustedEgress {
  const why = whyNotEgress(egress);
  if (why !== undefined) throw new AshlarError("invalid_record", `egresses.${why}`);
  return {
    name: label("egresses.name", egress.name),
    address: egress.address,
    serverName: egress.serverName,
    ca: boundedText("egresses.ca", egress.ca, egressPemBytesMax),
    clientKeyName: egress.clientKeyName,
    clientCert: boundedText("egresses.client_cert", egress.clientCert, egressPemBytesMax),
    allowAddresses: ascending(
      "egresses.allow_addresses",
      boundedList("egresses.allow_addresses", egress.allowAddresses, egressNetworksMax),
      (network) => network,
    ),
    through: egress.through,
  };
}

export function parseEgresses(messages: readonly TrustedEgress[]): readonly TrustedEgress[] {
  const bounded = boundedList("egresses", messages, egressesMax);
  return ascending("egresses", bounded, ({ name }) => name).map(parseEgress);
}

export function parseJournalHolder({ publicKey, sinceMs }: JournalHolder): JournalHolder {
  if (!isHolderKey(publicKey))
    throw new AshlarError("invalid_record", "journal_holder.public_key is no public key of X25519");
  return { publicKey, sinceMs: integer("journal_holder.since_ms", sinceMs, 0) };
}

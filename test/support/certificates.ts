/** Certificates of every kind, good and bad, for tests. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { publicKeyDer } from "../../runtime/tls-identity-keys.js";
import {
  derBitString,
  derInteger,
  derName,
  derNamedBits,
  derNode,
  derOctets,
  derOid,
  derSequence,
  derTime,
  derTrue,
} from "./der.js";

export const usage = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, crlSign: 6 } as const;
export const extendedUsage = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

export const uriName = (uri: string | Uint8Array): Buffer =>
  derNode(0x86, typeof uri === "string" ? Buffer.from(uri, "latin1") : uri);
export const dnsName = (name: string): Buffer => derNode(0x82, Buffer.from(name, "latin1"));

export const san = (...names: readonly Uint8Array[]): Extension => ({
  oid: "2.5.29.17",
  critical: false,
  value: derSequence(names),
});
export const keyUsage = (bits: readonly number[], critical = true): Extension => ({
  oid: "2.5.29.15",
  critical,
  value: derNamedBits(bits),
});
export const basic = (isCa: boolean, pathLength?: number): Extension => ({
  oid: "2.5.29.19",
  critical: true,
  value: derSequence(isCa ? derTrue : [], pathLength === undefined ? [] : derInteger(Buffer.of(pathLength))),
});
export const extended = (...oids: readonly string[]): Extension => ({
  oid: "2.5.29.37",
  critical: false,
  value: derSequence(oids.map(derOid)),
});

export interface TestCertificate {
  readonly der: Uint8Array;
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly name: string;
}

export interface TestCertificateOptions {
  readonly name?: string;
  readonly organization?: string;
  readonly issuer?: TestCertificate;
  readonly extensions: readonly Extension[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly serial?: Uint8Array;
  readonly key?: KeyObject;
  /** Another signature algorithm: [OID, digest]. */
  readonly algorithm?: readonly [string, string];
  /** Another key that signs instead of the issuer's. */
  readonly signingKey?: KeyObject;
}

let count = 1;

export function makeCertificate(options: TestCertificateOptions): TestCertificate {
  const key = options.key ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const name = options.name ?? `test ${count}`;
  const [algorithmOid, hash] = options.algorithm ?? ["1.2.840.10045.4.3.2", "sha256"];
  const algorithm = derSequence(derOid(algorithmOid));
  const { issuer } = options;
  const extensions = options.extensions.map(({ oid, critical, value }) =>
    derSequence(derOid(oid), critical ? derTrue : [], derOctets(value)),
  );
  const body = derSequence(
    derNode(0xa0, derInteger(Buffer.of(2))),
    derInteger(options.serial ?? Buffer.of(count++ >> 8, count & 0xff)),
    algorithm,
    derName("", issuer?.name ?? name),
    derSequence(
      derTime(options.notBeforeMs ?? Date.now() - 60_000),
      derTime(options.notAfterMs ?? Date.now() + 3_600_000),
    ),
    derName(options.organization ?? "", name),
    publicKeyDer(key),
    derNode(0xa3, derSequence(extensions)),
  );
  const signature = sign(hash, body, options.signingKey ?? issuer?.key ?? key);
  const der = new Uint8Array(derSequence(body, algorithm, derBitString(signature)));
  return { der, key, keyPem: key.export({ format: "pem", type: "pkcs8" }).toString(), name };
}

export function makeRoot(domain: string, extensions?: readonly Extension[]): TestCertificate {
  return makeCertificate({
    name: `root of ${domain} ${count}`,
    extensions: extensions ?? [
      basic(true),
      keyUsage([usage.keyCertSign, usage.crlSign]),
      san(uriName(`spiffe://${domain}`)),
    ],
  });
}

export function makeIntermediate(
  issuer: TestCertificate,
  domain: string,
  extensions?: readonly Extension[],
): TestCertificate {
  return makeCertificate({
    name: `intermediate of ${domain} ${count}`,
    issuer,
    extensions: extensions ?? [
      basic(true, 0),
      keyUsage([usage.keyCertSign, usage.crlSign]),
      san(uriName(`spiffe://${domain}`)),
    ],
  });
}

/** Returns the extensions of a valid leaf certificate, with some replaced. */
export function leafExtensions(
  id: string,
  replaced: Partial<Record<"basic" | "usage" | "extended" | "san", Extension | null>> = {},
): Extension[] {
  const all = {
    basic: basic(false),
    usage: keyUsage([usage.digitalSignature]),
    extended: extended(extendedUsage.server, extendedUsage.client),
    san: san(uriName(id)),
    ...replaced,
  };
  return Object.values(all).filter((one): one is Extension => one !== null);
}

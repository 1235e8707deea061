/** Certificates that the mesh's own CA would never issue, signed with its key all the same. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { publicKeyDer } from "../../runtime/tls-identity-issue.js";
import type { Extension } from "../support/certificates.js";
import {
  derBitString,
  derInteger,
  derName,
  derNode,
  derOctets,
  derOid,
  derSequence,
  derTime,
  derTrue,
} from "../support/der.js";
import { type Credentials, type Mesh, pemOf } from "./mesh.js";

export interface Issuer {
  readonly name: Buffer;
  readonly key: KeyObject;
  /** Sent with the leaf; none for a root. */
  readonly chain: readonly Uint8Array[];
}

export interface Certificate {
  readonly der: Uint8Array;
  readonly key: KeyObject;
  readonly name: Buffer;
}

/** The root of the mesh, as somebody who stole its key would use it. */
export function meshIssuer(mesh: Mesh): Issuer {
  const { keyPem } = mesh.authority;
  return { name: derName("checks", "Ashlar root CA"), key: createPrivateKey(keyPem), chain: [] };
}

let serial = 1;

export interface CertificateOptions {
  readonly commonName?: string;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

/** Without `issuer` it signs itself. */
export function makeCertificate(
  extensions: readonly Extension[],
  issuer: Issuer | undefined,
  options: CertificateOptions = {},
): Certificate {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const name = derName("checks", options.commonName ?? `made for a check ${serial}`);
  const algorithm = derSequence(derOid("1.2.840.10045.4.3.2"));
  const encoded = extensions.map(({ oid, critical, value }) =>
    derSequence(derOid(oid), critical ? derTrue : [], derOctets(value)),
  );
  const body = derSequence(
    derNode(0xa0, derInteger(Buffer.of(2))),
    derInteger(Buffer.of(0x11, serial++ & 0xff)),
    algorithm,
    issuer?.name ?? name,
    derSequence(
      derTime(options.notBeforeMs ?? Date.now() - 60_000),
      derTime(options.notAfterMs ?? Date.now() + 3_600_000),
    ),
    name,
    publicKeyDer(key),
    derNode(0xa3, derSequence(encoded)),
  );
  const signature = sign("sha256", body, issuer?.key ?? key);
  return { der: new Uint8Array(derSequence(body, algorithm, derBitString(signature))), key, name };
}

export const issuerOf = ({ der, key, name }: Certificate, above?: Issuer): Issuer => ({
  name,
  key,
  chain: [der, ...(above?.chain ?? [])],
});

export function credentialsOf({ der, key }: Certificate, issuer?: Issuer): Credentials {
  return {
    keyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
    chainPem: [der, ...(issuer?.chain ?? [])].map(pemOf).join(""),
  };
}

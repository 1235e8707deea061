/** A PKCS #10 certificate request (RFC 2986) for an ECDSA P-256 key. Its subject is empty: the proxy says who it is for. */
import { createPublicKey, type KeyObject, sign } from "node:crypto";

/** ecdsa-with-SHA256 (RFC 5758 3.2). */
const algorithm = Buffer.from("300a06082a8648ce3d040302", "hex");

export function buildCertificateRequest(key: KeyObject): Buffer {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" });
  const noName = der(0x30);
  const info = der(0x30, der(0x02, Buffer.of(0)), noName, publicKey, der(0xa0));
  return der(0x30, info, algorithm, der(0x03, Buffer.of(0), sign("sha256", info, key)));
}

/** A node of DER; none here has 64 KiB. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

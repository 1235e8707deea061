/**
 * The holder of the ledger's private fields: whoever has this key can read them in the journal, and nobody else can.
 */
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type DemoMesh, root } from "../shop/demo-mesh.js";

export interface Holder {
  /** A file with the private key, which no part of the mesh reads. */
  readonly keyPath: string;
  /** The ledger's policy with the holder's public key. */
  readonly policyPath: string;
}

/** Makes a pair of keys, and writes the policy that names the public one. */
export function makeHolder({ folder }: DemoMesh): Holder {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const keyPath = join(folder, "holder.pem");
  writeFileSync(keyPath, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  const spki = publicKey.export({ format: "der", type: "spki" }).toString("base64");
  const policy = readFileSync(join(root, "examples/ledger/policy/services.yaml"), "utf8");
  const policyPath = join(folder, "ledger.yaml");
  writeFileSync(policyPath, policy.replace(/^ {2}holder: .*$/m, `  holder: ${spki}`));
  return { keyPath: relative(root, keyPath), policyPath: relative(root, policyPath) };
}

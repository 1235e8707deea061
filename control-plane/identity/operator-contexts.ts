/** Writes the contexts of operators: files with the admin API's address, the mesh's CA, a certificate and its key. */
import type { DataFolder } from "../data-folder.js";
import type { Authority } from "./authority.js";

export interface OperatorContextsDeps {
  readonly authority: Pick<Authority, "mesh" | "rootHash" | "caPem" | "issueOperator">;
  readonly folder: Pick<DataFolder, "writeJson">;
}

/** Writes DIR/admin.json and DIR/operator-NAME.json for each further operator, with new certificates and mode 0600. */
export function writeOperatorContexts(
  { authority, folder }: OperatorContextsDeps,
  admin: string,
  operators: readonly string[],
): void {
  const { mesh, rootHash, caPem: ca } = authority;
  for (const name of new Set(["admin", ...operators])) {
    const { chainPem: certificate, privateKeyPem: key } = authority.issueOperator({ name });
    const file = name === "admin" ? "admin.json" : `operator-${name}.json`;
    folder.writeJson(file, { mesh, rootHash, admin, ca, certificate, key });
  }
}

/** JetStream's files, which a server keeps in a folder for each account. */
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../runtime/log.js";
import type { NatsAccounts } from "../../runtime/nats-accounts.js";

/**
 * Gives the mesh's account the streams in a folder of an earlier version, where proxies and control planes were users
 * of one account. That account becomes the proxies' and loses JetStream, so that no proxy's credential reaches the
 * streams. The server must not run. The move is a single rename; a crash before it leaves the move to the next start.
 */
export async function moveStreams(storeDir: string, { mesh, proxies }: NatsAccounts, log: Logger): Promise<void> {
  const folderOf = (account: string): string => join(storeDir, "jetstream", account);
  const [from, to] = [folderOf(proxies.publicKey), folderOf(mesh.publicKey)];
  const isThere = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  if (!(await isThere(from))) return;
  if (await isThere(to)) {
    log.warn("an earlier version of Ashlar made streams in the NATS folder again: they are left unchanged", { from });
    return;
  }
  await rename(from, to);
  log.info("the NATS streams now belong to an account of the mesh's own; proxies keep their account");
}

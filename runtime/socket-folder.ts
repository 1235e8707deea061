/**
 * Creates and checks the folder of a Unix socket: whoever may write to it could replace our socket with another one.
 */
import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** The mode of sockets, whatever the umask: only the owner may connect. */
export const socketMode = 0o600;
const folderMode = 0o700;

/**
 * Creates `folder` and its missing parents with mode 0700, whatever the umask. Existing folders are left as they are.
 */
export async function makeSocketFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: folderMode });
    await chmod(folder, folderMode); // mkdir subtracts the umask
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(folder) === folder) throw error;
    await makeSocketFolder(dirname(folder));
    await makeSocketFolder(folder);
  }
}

/**
 * Fails if somebody else could replace a socket in `folder`: because the folder belongs to a user other than us or
 * root, or because its group or everybody may write to it. A folder with the sticky bit (such as /tmp) is accepted,
 * because nobody can replace another user's file there.
 */
export async function checkSocketFolder(
  folder: string,
  own = process.geteuid?.(),
): Promise<{ readonly mayOthersEnter: boolean }> {
  const { mode, uid } = await stat(folder);
  if (own !== undefined && uid !== 0 && uid !== own) {
    throw new Error(
      `its folder ${folder} belongs to another user (uid ${uid}, this process has uid ${own}), who could replace the socket: ` +
        `chown it to uid ${own}, or give a path in a folder of your own`,
    );
  }
  const isWritable = (mode & 0o022) !== 0;
  const isSticky = (mode & 0o1000) !== 0;
  if (isWritable && !isSticky) {
    const octal = (mode & 0o7777).toString(8).padStart(4, "0");
    throw new Error(
      `other users may write in its folder ${folder} (mode ${octal}) and could replace the socket: chmod 700 ${folder}`,
    );
  }
  return { mayOthersEnter: (mode & 0o077) !== 0 };
}

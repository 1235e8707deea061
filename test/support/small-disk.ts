/** Disks of a given size: tmpfs mounts, if this user may mount. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const mounted: string[] = [];

/** Mounts an empty disk of `mebibytes` MiB and returns its folder. Fails if this user may not mount. */
export function mountDisk(mebibytes: number): string {
  const dir = mkdtempSync(join(tmpdir(), "ash-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", dir], { stdio: "ignore" });
  } catch (error) {
    rmSync(dir, { recursive: true });
    throw error;
  }
  mounted.push(dir);
  return dir;
}

export function resizeDisk(dir: string, mebibytes: number): void {
  execFileSync("mount", ["-o", `remount,size=${mebibytes}m`, dir], { stdio: "ignore" });
}

/** Unmounts all disks. */
export function unmountDisks(): void {
  for (const dir of mounted.splice(0)) {
    execFileSync("umount", [dir]);
    rmSync(dir, { recursive: true });
  }
}

/** Returns why no disk can be mounted here. undefined: it is possible. */
export function whyNoDisk(): string | undefined {
  try {
    mountDisk(1);
    unmountDisks();
    return undefined;
  } catch {
    return "this user may not mount a tmpfs";
  }
}

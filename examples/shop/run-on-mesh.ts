/** Runs an example on a mesh of its own, and exits with 0 only if all its checks passed. */
import { relative } from "node:path";
import { DemoMesh } from "./demo-mesh.js";

/** Runs `show`, which must throw if a check fails; the logs are then kept. */
export async function runOnMesh(show: (mesh: DemoMesh) => Promise<void>): Promise<never> {
  const mesh = new DemoMesh();
  const stop = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => reject(new Error("stopped")));
  });
  let failed = false;
  try {
    await Promise.race([show(mesh), stop]);
  } catch (error) {
    failed = true;
    console.error(`\n${error instanceof Error ? error.message : error}`);
    console.error(`Logs: ${relative(process.cwd(), mesh.folder)}/logs`);
  }
  await mesh.stop();
  if (!failed) mesh.remove();
  process.exit(failed ? 1 : 0);
}

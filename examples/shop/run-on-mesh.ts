/** Runs an example on a mesh of its own, and leaves with 0 only if everything that it claims held. */
import { relative } from "node:path";
import { DemoMesh } from "./demo-mesh.js";

/** `show` fails where something did not do what the example says; the logs are kept then. */
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

/** What every service of the shop does around its own work: join, serve, and leave when it is told to stop. */
import type { Server, ServiceClientConstructor } from "@grpc/grpc-js";
import { join, type Mesh } from "../../sdk/index.js";

/**
 * Joins as `service`, calls `build` to make the server, and serves until SIGTERM or Ctrl-C; then leaves without losing
 * a call.
 */
export async function runService(service: string, build: (mesh: Mesh) => Server): Promise<void> {
  try {
    const mesh = await join({ service });
    await mesh.serve(build(mesh), {
      onStatus: (status) => console.log(status.kind === "lost" ? `lost the proxy: ${status.reason}` : status.kind),
    });
    const { spiffeId, version } = mesh.description;
    console.log(`ready: ${spiffeId} ${version}`);
    const stop = () => {
      mesh.leave().then(() => process.exit(0));
    };
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}

/** Returns a client of another service of the mesh. */
export function clientOf(mesh: Mesh, service: ServiceClientConstructor, name: string) {
  return new service(...mesh.client(name));
}

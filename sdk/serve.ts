/** Binds an application's gRPC server to a private Unix socket that only its proxy can reach. */
import { randomBytes } from "node:crypto";
import { chmod, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Server } from "@grpc/grpc-js";
import { AshlarError, messageOf } from "../core/errors.js";
import { cannotListen } from "../runtime/listen.js";
import { checkSocketFolder, socketMode } from "../runtime/socket-folder.js";
import type { ApplicationGrpc } from "./application-grpc.js";

const socketPathBytesMax = 107; // sun_path, without the final NUL

export interface BoundServer {
  /** The address of the socket, "unix:PATH", as the agent expects it. */
  readonly address: string;
  /** Lets open calls finish for `timeoutMs`, then cancels the others. Resolves to true if nothing was cancelled. */
  shutdown(timeoutMs: number): Promise<boolean>;
}

/**
 * Returns a path for an application's socket in `folder`. Fails with `invalid_argument` if the path is too long for the
 * system.
 */
function privateSocketPath(folder: string): string {
  const path = join(folder, `app-${randomBytes(6).toString("hex")}.sock`);
  const bytes = Buffer.byteLength(path);
  if (bytes > socketPathBytesMax) {
    const limit = `a Unix socket's path has at most ${socketPathBytesMax} bytes, ${path} has ${bytes}`;
    throw new AshlarError("invalid_argument", `${limit}: start the proxy with --agent in a shorter folder`);
  }
  return path;
}

/**
 * Binds `server` to a fresh socket (mode 0600) in `folder`: gRPC over plain HTTP/2, no TCP port. Fails with
 * `unavailable` if others could replace the socket there.
 */
export async function bindPrivately(grpc: ApplicationGrpc, server: Server, folder: string): Promise<BoundServer> {
  const path = privateSocketPath(folder);
  try {
    await checkSocketFolder(dirname(path));
  } catch (cause) {
    throw cannotListen(path, cause);
  }
  await bind(grpc, server, path);
  await chmod(path, socketMode);
  return {
    address: `unix:${path}`,
    shutdown: async (timeoutMs) => {
      const clean = await shutdown(server, timeoutMs);
      await rm(path, { force: true });
      return clean;
    },
  };
}

function bind(grpc: ApplicationGrpc, server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    try {
      server.bindAsync(`unix:${path}`, grpc.ServerCredentials.createInsecure(), (error) => {
        if (error === null) return resolve();
        reject(cannotListen(path, error));
      });
    } catch (cause) {
      // a server that is bound already, or one of another copy of @grpc/grpc-js
      const remedy = "if @grpc/grpc-js is installed twice, pass yours: join({ service, grpc })";
      reject(new AshlarError("invalid_argument", `cannot serve: ${messageOf(cause)}; ${remedy}`, { cause }));
    }
  });
}

function shutdown(server: Server, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve(false);
    }, timeoutMs);
    server.tryShutdown((error) => {
      clearTimeout(timer);
      resolve(error === undefined);
    });
  });
}

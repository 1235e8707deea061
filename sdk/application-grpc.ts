/**
 * Finds the application's copy of @grpc/grpc-js, because its servers and clients accept credentials of no other copy.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import * as own from "@grpc/grpc-js";

/** The parts of grpc-js that the SDK creates for the application's servers and clients. */
export interface ApplicationGrpc {
  readonly ServerCredentials: { createInsecure(): own.ServerCredentials };
  readonly credentials: { createInsecure(): own.ChannelCredentials };
  /** For direct reads. */
  readonly Channel?: unknown;
}

const packageName = "@grpc/grpc-js";

/**
 * Returns the copy that `script` would import (the application's main file; undefined: a file in the working folder),
 * or the SDK's own copy if the application has none. They are the same copy where the packages are installed side by
 * side, and differ where the SDK is linked from a folder with packages of its own.
 */
export function findApplicationGrpc(script: string | undefined): ApplicationGrpc {
  try {
    const load = createRequire(script ?? join(process.cwd(), "index.js"));
    const found: unknown = load(packageName);
    return isGrpc(found) ? found : own;
  } catch {
    return own; // bundled, or started from elsewhere: `join({ grpc })` says it
  }
}

function isGrpc(found: unknown): found is ApplicationGrpc {
  return typeof found === "object" && found !== null && "ServerCredentials" in found && "credentials" in found;
}

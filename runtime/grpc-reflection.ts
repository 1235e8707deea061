import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Server } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { AshlarError } from "../core/errors.js";

/** Finds the package's proto folder, which is beside dist in the package and beside runtime in the sources. */
export function findProtoFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const proto = join(folder, "proto");
    if (existsSync(join(proto, "ashlar/v1"))) return proto;
    if (dirname(folder) === folder) throw new AshlarError("internal", "the proto folder is missing from the package");
  }
}

/** Adds gRPC server reflection (v1 and v1alpha) for `files`, given relative to the proto folder. */
export function addReflection(server: Server, files: readonly string[]): void {
  const root = findProtoFolder();
  const definition = loadSync([...files], { includeDirs: [root], keepCase: true });
  new ReflectionService(withoutRepeats(definition)).addToServer(server);
}

/**
 * Keeps one entry for each list of files. All entries of a definition have the same list, and the reflection service
 * would decode it for each entry, which took seconds at the start of a control plane.
 */
function withoutRepeats(definition: PackageDefinition): PackageDefinition {
  const entries = Object.entries(definition);
  const byFiles = new Map(entries.map((entry) => [entry[1].fileDescriptorProtos, entry]));
  return Object.fromEntries(byFiles.values());
}

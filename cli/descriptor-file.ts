/** Descriptors of gRPC services, from the files that define them. */
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { stringify } from "yaml";
import { AshlarError, messageOf } from "../core/errors.js";
import { fileReason } from "../runtime/file-reason.js";

const bytesMax = 8 * 1024 * 1024;

/**
 * The Descriptors that a .proto or .binpb file says, as a policy file. Imports of a .proto are looked for beside it
 * and in the present folder; google/protobuf is known. Fails with `invalid_argument` and the file's name where it
 * cannot be read, is longer than 8 MiB, or defines no service.
 */
export async function readDescriptorFile(path: string): Promise<string> {
  const definition = await loadDefinition(path);
  const documents: string[] = [];
  for (const [name, value] of Object.entries(definition)) {
    if ("format" in value) continue; // a message or an enum
    const methods = Object.values(value).map(({ path: full }) => full.slice(full.lastIndexOf("/") + 1));
    if (methods.length > 0) documents.push(stringify({ kind: "Descriptor", name, methods }));
  }
  if (documents.length === 0) throw new AshlarError("invalid_argument", `${path} defines no service with methods`);
  return documents.join("---\n");
}

async function loadDefinition(path: string): Promise<PackageDefinition> {
  try {
    const { size } = await stat(path).catch((cause: unknown) => {
      throw new Error(fileReason(cause), { cause });
    });
    if (size > bytesMax) throw new Error(`it has ${size} bytes, at most ${bytesMax} are read`);
    if (path.endsWith(".binpb")) return loadFileDescriptorSetFromBuffer(await readFile(path));
    return loadSync(path, { includeDirs: [dirname(path), "."] });
  } catch (cause) {
    throw new AshlarError("invalid_argument", `cannot read ${path} as a descriptor: ${messageOf(cause)}`, { cause });
  }
}

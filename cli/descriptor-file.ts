/** Descriptors of gRPC services, from the files that define them. */
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorSet,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
} from "@bufbuild/protobuf/wkt";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
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
  const services = await loadServices(path);
  const documents = services
    .filter(({ methods }) => methods.length > 0)
    .map(({ name, methods }) => {
      const marked = (level: string): readonly string[] =>
        methods.filter((method) => method.level === level).map((method) => method.name);
      const [idempotent, noSideEffects] = [marked("IDEMPOTENT"), marked("NO_SIDE_EFFECTS")];
      return stringify({
        kind: "Descriptor",
        name,
        methods: methods.map((method) => method.name),
        ...(idempotent.length > 0 ? { idempotent } : {}),
        ...(noSideEffects.length > 0 ? { noSideEffects } : {}),
      });
    });
  if (documents.length === 0) throw new AshlarError("invalid_argument", `${path} defines no service with methods`);
  return documents.join("---\n");
}

interface ServiceInFile {
  /** "package.Service". */
  readonly name: string;
  /** `level`: idempotency_level of descriptor.proto, by name. */
  readonly methods: readonly { readonly name: string; readonly level: string }[];
}

async function loadServices(path: string): Promise<readonly ServiceInFile[]> {
  try {
    const { size } = await stat(path).catch((cause: unknown) => {
      throw new Error(fileReason(cause), { cause });
    });
    if (size > bytesMax) throw new Error(`it has ${size} bytes, at most ${bytesMax} are read`);
    if (path.endsWith(".binpb")) return servicesOfSet(fromBinary(FileDescriptorSetSchema, await readFile(path)));
    return servicesOfProto(loadSync(path, { includeDirs: [dirname(path), "."] }));
  } catch (cause) {
    throw new AshlarError("invalid_argument", `cannot read ${path} as a descriptor: ${messageOf(cause)}`, { cause });
  }
}

function servicesOfProto(definition: PackageDefinition): readonly ServiceInFile[] {
  return Object.entries(definition).flatMap(([name, value]) => {
    if ("format" in value) return []; // a message or an enum
    const methods = Object.values(value).map(({ path, options }) => ({
      name: path.slice(path.lastIndexOf("/") + 1),
      level: options.idempotency_level as string,
    }));
    return [{ name, methods }];
  });
}

function servicesOfSet({ file }: FileDescriptorSet): readonly ServiceInFile[] {
  return file.flatMap(({ package: namespace, service }) =>
    service.map(({ name, method }) => ({
      name: namespace === "" ? name : `${namespace}.${name}`,
      methods: method.map((one) => ({
        name: one.name,
        level: MethodOptions_IdempotencyLevel[one.options?.idempotencyLevel ?? 0] ?? "",
      })),
    })),
  );
}

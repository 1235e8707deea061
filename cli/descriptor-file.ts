/** Reads descriptors of gRPC services from the files that define them. */
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  type FileDescriptorSet,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
} from "@bufbuild/protobuf/wkt";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { stringify } from "yaml";
import { AshlarError, messageOf } from "../core/errors.js";
import { fileReason } from "../runtime/file-reason.js";
import { typesOfMethods, type WantedTypes } from "./descriptor-types.js";

const bytesMax = 8 * 1024 * 1024;

/**
 * The Descriptors that a .proto or .binpb file says, as a policy file. Imports of a .proto are looked for beside it
 * and in the present folder; google/protobuf is known. `typed`: the methods whose messages are
 * described as well. Fails with `invalid_argument` and the file's name where it
 * cannot be read, is longer than 8 MiB, or defines no service.
 */
export async function readDescriptorFile(path: string, typed: WantedTypes): Promise<string> {
  const documents = await loadDocuments(path, typed).catch((cause: unknown) => {
    throw new AshlarError("invalid_argument", `cannot read ${path} as a descriptor: ${messageOf(cause)}`, { cause });
  });
  if (documents.length === 0) throw new AshlarError("invalid_argument", `${path} defines no service with methods`);
  return documents.join("---\n");
}

async function loadDocuments(path: string, typed: WantedTypes): Promise<readonly string[]> {
  const { services, files } = await load(path);
  return services
    .filter(({ methods }) => methods.length > 0)
    .map(({ name, methods }) => {
      const marked = (level: string): readonly string[] =>
        methods.filter((method) => method.level === level).map((method) => method.name);
      const names = methods.map((method) => method.name);
      const isWanted = typed.fields.length > 0 || names.some((method) => typed.methods.has(`${name}/${method}`));
      const lists = {
        idempotent: marked("IDEMPOTENT"),
        noSideEffects: marked("NO_SIDE_EFFECTS"),
        ...(isWanted ? typesOfMethods(files(), name, typed) : {}),
      };
      const said = Object.entries(lists).filter(([, list]) => list.length > 0);
      return stringify({ kind: "Descriptor", name, methods: names, ...Object.fromEntries(said) }, { lineWidth: 0 });
    });
}

interface ServiceInFile {
  /** "package.Service". */
  readonly name: string;
  /** The methods; `level` is the name of their idempotency_level (descriptor.proto). */
  readonly methods: readonly { readonly name: string; readonly level: string }[];
}

interface Loaded {
  readonly services: readonly ServiceInFile[];
  /** The files, with those of their imports that are there. */
  files(): readonly FileDescriptorProto[];
}

async function load(path: string): Promise<Loaded> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new Error(fileReason(cause), { cause });
  });
  if (size > bytesMax) throw new Error(`it has ${size} bytes, at most ${bytesMax} are read`);
  if (path.endsWith(".binpb")) {
    const set = fromBinary(FileDescriptorSetSchema, await readFile(path));
    return { services: servicesOfSet(set), files: () => set.file };
  }
  const definition = loadSync(path, { includeDirs: [dirname(path), "."], keepCase: true });
  return { services: servicesOfProto(definition), files: () => filesOfProto(definition) };
}

/** Each message of a definition has all files beside it. */
function filesOfProto(definition: PackageDefinition): readonly FileDescriptorProto[] {
  for (const value of Object.values(definition))
    if ("fileDescriptorProtos" in value)
      return (value.fileDescriptorProtos as readonly Uint8Array[]).map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes),
      );
  return [];
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

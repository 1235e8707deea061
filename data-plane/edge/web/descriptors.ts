/** Translates messages of methods from and to JSON, by the descriptors that a gateway was given. */
import { readFile, stat } from "node:fs/promises";
import {
  createFileRegistry,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import { type DescriptorProto, type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { AshlarError, messageOf } from "../../../core/errors.js";
import { fileReason } from "../../../runtime/file-reason.js";

const bytesMax = 8 * 1024 * 1024;

/** Translates the messages of one method. Both directions throw on malformed input. */
export interface JsonCodec {
  requestToBinary(json: Uint8Array): Uint8Array;
  responseToJson(binary: Uint8Array): Uint8Array;
}

export class Descriptors {
  readonly #registry: FileRegistry;
  readonly #codecs = new Map<DescMethod, JsonCodec>();

  /** `files`: serialized FileDescriptorSets with all imports. Throws if one is malformed. */
  constructor(files: readonly Uint8Array[]) {
    this.#registry = createFileRegistry(...files.map((bytes) => createFileRegistry(readSet(bytes))));
  }

  /** Reads files of FileDescriptorSets. Fails with `invalid_argument` if one cannot be used. */
  static async open(paths: readonly string[]): Promise<Descriptors> {
    const files = await Promise.all(paths.map(readDescriptors));
    return new Descriptors(files);
  }

  /** Returns the codec for the messages of "package.Service/Method", or undefined if no descriptor has the method. */
  find(method: string): JsonCodec | undefined {
    const [service = "", name] = method.split("/");
    const found = this.#registry.getService(service)?.methods.find((one) => one.name === name);
    if (found === undefined) return undefined;
    let codec = this.#codecs.get(found);
    if (codec === undefined) {
      codec = codecOf(found, this.#registry);
      this.#codecs.set(found, codec);
    }
    return codec;
  }
}

function codecOf({ input, output }: DescMethod, registry: FileRegistry): JsonCodec {
  return {
    requestToBinary(json) {
      const parsed = json.length === 0 ? {} : (JSON.parse(Buffer.from(json).toString("utf8")) as JsonValue);
      return toBinary(input, fromJson(input, parsed, { registry, ignoreUnknownFields: true }));
    },
    responseToJson: (binary) =>
      Buffer.from(JSON.stringify(toJson(output, fromBinary(output, binary), { registry })), "utf8"),
  };
}

/** Parses a set. Some compilers leave out the JSON names of fields, so these are computed. */
function readSet(bytes: Uint8Array): FileDescriptorSet {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const name = ({ field, nestedType }: DescriptorProto): void => {
    for (const one of field) if (one.jsonName === "") one.jsonName = protoCamelCase(one.name);
    for (const nested of nestedType) name(nested);
  };
  for (const { messageType } of set.file) for (const message of messageType) name(message);
  return set;
}

async function readDescriptors(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path).catch((cause: unknown) => {
      throw new Error(fileReason(cause), { cause });
    });
    if (size > bytesMax) throw new Error(`it has ${size} bytes, at most ${bytesMax} are read`);
    const bytes = await readFile(path);
    createFileRegistry(readSet(bytes));
    return bytes;
  } catch (cause) {
    throw new AshlarError(
      "invalid_argument",
      `cannot read ${path} as a set of descriptors with all imports (buf build -o FILE.binpb): ${messageOf(cause)}`,
      { cause },
    );
  }
}

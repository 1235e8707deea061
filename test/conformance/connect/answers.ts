/** What the suite's runner asks a server under test, and what it is told: length-prefixed protobuf, by the suite's descriptors. */
import { createFileRegistry, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

export interface ServerRequest {
  readonly useTls: boolean;
}

export interface ServerAnswer {
  readonly host: string;
  readonly port: number;
  /** What clients trust; "" without TLS. */
  readonly pemCert: string;
}

const prefixBytes = 4;

export class ServerMessages {
  readonly #registry;

  constructor(descriptors: Uint8Array) {
    this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  }

  /** Parses a request if `bytes` has all of it; undefined: more has to come. */
  parseRequest(bytes: Uint8Array): ServerRequest | undefined {
    if (bytes.length < prefixBytes) return undefined;
    const end = prefixBytes + Buffer.from(bytes).readUInt32BE();
    if (bytes.length < end) return undefined;
    const schema = this.#schema("ServerCompatRequest");
    const request = toJson(schema, fromBinary(schema, bytes.subarray(prefixBytes, end))) as { useTls?: boolean };
    return { useTls: request.useTls === true };
  }

  encodeAnswer({ host, port, pemCert }: ServerAnswer): Uint8Array {
    const schema = this.#schema("ServerCompatResponse");
    const json: JsonValue = { host, port, pemCert: Buffer.from(pemCert).toString("base64") };
    const message = toBinary(schema, fromJson(schema, json));
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(message.length);
    return Buffer.concat([prefix, message]);
  }

  #schema(name: string) {
    const found = this.#registry.getMessage(`connectrpc.conformance.v1.${name}`);
    if (found === undefined) throw new Error(`the suite's descriptors have no ${name}`);
    return found;
  }
}

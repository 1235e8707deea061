/** What test/e2e/gateway-browser.test.ts runs in a page: a client of Connect and one of gRPC-Web, with tokens and without. */
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

interface Echo {
  unary(message: object): Promise<{ text: string; caller: string }>;
  serverStream(message: object): AsyncIterable<{ count: number }>;
}

interface Asked {
  readonly baseUrl: string;
  /** A FileDescriptorSet in base64. */
  readonly descriptors: string;
  readonly token: string;
}

/** Returns what each client got, as text. */
async function callAll({ baseUrl, descriptors, token }: Asked): Promise<string[]> {
  const bytes = Uint8Array.from(atob(descriptors), (character) => character.charCodeAt(0));
  const schema = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes)).getService("test.Echo");
  if (schema === undefined) return ["no descriptor"];
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const said: string[] = [];
  for (const [name, create] of [
    ["connect", createConnectTransport],
    ["grpc-web", createGrpcWebTransport],
  ] as const)
    for (const interceptors of [[withToken], []]) {
      const client = createClient(schema, create({ baseUrl, interceptors })) as unknown as Echo;
      try {
        const { text, caller } = await client.unary({ text: "from a page" });
        let sum = 0;
        for await (const { count } of client.serverStream({ count: 100 })) sum += count;
        said.push(`${name}: ${text}, ${caller}, ${sum}`);
      } catch (error) {
        said.push(`${name}: error ${ConnectError.from(error).code}`);
      }
    }
  return said;
}

Object.assign(globalThis, { callAll });

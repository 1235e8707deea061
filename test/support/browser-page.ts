/**
 * The script that test/e2e/gateway-browser.test.ts runs in a page: clients of Connect and gRPC-Web, with and without
 * tokens.
 */
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

interface Checkout {
  placeOrder(message: object): Promise<{ orderId: string; state: string }>;
  watchOrder(message: object): AsyncIterable<{ state: string }>;
  cancelOrder(message: object): Promise<object>;
}

interface Asked {
  readonly baseUrl: string;
  /** A FileDescriptorSet in base64. */
  readonly descriptors: string;
  readonly token: string;
}

/** Places orders at the demo shop. Returns what each client got, as text. */
async function callAll({ baseUrl, descriptors, token }: Asked): Promise<string[]> {
  const bytes = Uint8Array.from(atob(descriptors), (character) => character.charCodeAt(0));
  const schema = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes)).getService("shop.Checkout");
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
      const client = createClient(schema, create({ baseUrl, interceptors })) as unknown as Checkout;
      const attempt = async (call: () => Promise<string>): Promise<void> => {
        said.push(`${name}: ${await call().catch((error: unknown) => `error ${ConnectError.from(error).code}`)}`);
      };
      let orderId = "";
      await attempt(async () => {
        const order = await client.placeOrder({ item: "anvil", quantity: 1 });
        orderId = order.orderId;
        return order.state;
      });
      await attempt(async () => {
        const states: string[] = [];
        for await (const { state } of client.watchOrder({ orderId })) states.push(state);
        return states.join();
      });
      await attempt(async () => String(await client.cancelOrder({ orderId })));
    }
  return said;
}

Object.assign(globalThis, { callAll });

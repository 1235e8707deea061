/** A read that the destination's proxy refuses directly goes once more through the local proxy. Servers stand for both. */
import * as grpc from "@grpc/grpc-js";
import { afterEach, expect, test } from "@jest/globals";
import { DirectChannel } from "../../sdk/direct/direct-channel.js";
import { ByteClient, type ByteHandlers, startByteServer } from "../support/byte-service.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const channelTo = async (handlers: ByteHandlers): Promise<grpc.Channel> => {
  const { server, port } = await startByteServer("127.0.0.1:0", handlers);
  const channel = new grpc.Channel(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {});
  cleanups.push(() => {
    channel.close();
    server.forceShutdown();
  });
  return channel;
};

async function world(directly: ByteHandlers, proxied: ByteHandlers) {
  const [direct, local] = [await channelTo(directly), await channelTo(proxied)];
  const channelOverride = new DirectChannel(local, { pick: () => direct }) as unknown as grpc.Channel;
  const client = new ByteClient("127.0.0.1:1", "bytes", undefined, { channelOverride });
  cleanups.push(() => client.close());
  return client;
}

const refusal = (decision = "abc", code = grpc.status.PERMISSION_DENIED) => {
  const metadata = new grpc.Metadata();
  if (decision !== "") metadata.set("ashlar-decision", decision);
  return Object.assign(new Error("denied"), { code, details: `denied ${decision}`, metadata });
};
const hello = Buffer.from("hello");

test("a refusal of the destination's proxy is no answer where the local proxy has one, and the request is the same", async () => {
  const seen: unknown[] = [];
  const client = await world(
    {
      Unary(call, answer) {
        seen.push(["direct", `${call.request}`, call.metadata.get("x-a")]);
        answer(refusal());
      },
    },
    {
      Unary(call, answer) {
        seen.push(["proxied", `${call.request}`, call.metadata.get("x-a")]);
        answer(null, Buffer.from("good"));
      },
    },
  );
  const metadata = new grpc.Metadata();
  metadata.set("x-a", "1");
  const { error, response } = await client.unary(hello, metadata);
  expect([error, String(response)]).toEqual([undefined, "good"]);
  expect(seen).toEqual([
    ["direct", "hello", ["1"]],
    ["proxied", "hello", ["1"]],
  ]);
});

test.each([
  ["the local proxy's own refusal is the answer, and there is no third call", refusal("one"), "denied two", 1],
  ["what the application says is the answer", refusal(""), "denied ", 0],
  ["another status of the destination is the answer", refusal("one", grpc.status.UNAUTHENTICATED), "denied one", 0],
])("%s", async (_what, first, details, secondCalls) => {
  const calls = { direct: 0, proxied: 0 };
  const client = await world(
    {
      Unary(_call, answer) {
        calls.direct += 1;
        answer(first);
      },
    },
    {
      Unary(_call, answer) {
        calls.proxied += 1;
        answer(refusal("two"));
      },
    },
  );
  expect((await client.unary(hello)).error?.details).toBe(details);
  expect(calls).toEqual({ direct: 1, proxied: secondCalls });
});

test("a request beyond 64 KiB is not kept, so its refusal is the answer", async () => {
  const client = await world(
    { Unary: (_call, answer) => answer(refusal()) },
    { Unary: (_call, answer) => answer(null, hello) },
  );
  expect((await client.unary(Buffer.alloc(64 * 1024))).error).toBeUndefined();
  expect((await client.unary(Buffer.alloc(64 * 1024 + 1))).error?.code).toBe(grpc.status.PERMISSION_DENIED);
});

test("a stream of answers goes on through the local proxy; one that has begun ends with the refusal", async () => {
  const says = (...texts: string[]): ByteHandlers => ({
    ServerStream(call) {
      for (const text of texts) call.write(Buffer.from(text));
      call.end();
    },
  });
  const read = async (client: ByteClient): Promise<string[]> => {
    const got: string[] = [];
    const stream = client.serverStream(hello);
    stream.on("data", (bytes: Buffer) => got.push(`${bytes}`));
    return new Promise((resolve) => {
      stream.on("error", ({ code }: grpc.ServiceError) => resolve([...got, `error ${code}`]));
      stream.on("end", () => resolve(got));
    });
  };
  const local = says("a", "b", "c");
  expect(await read(await world({ ServerStream: (call) => void call.emit("error", refusal()) }, local))).toEqual([
    "a",
    "b",
    "c",
  ]);
  const late: ByteHandlers = {
    ServerStream(call) {
      call.write(Buffer.from("x"), () => setImmediate(() => call.emit("error", refusal())));
    },
  };
  expect(await read(await world(late, local))).toEqual(["x", "error 7"]);
});

test("a stream of requests that is refused under way is sent from its beginning, in order", async () => {
  const collect: ByteHandlers["ClientStream"] = (call, answer) => {
    const parts: Buffer[] = [];
    call.on("data", (bytes: Buffer) => parts.push(bytes));
    call.on("end", () => answer(null, Buffer.concat(parts)));
  };
  let refuse: (() => void) | undefined;
  const isRefused = new Promise<void>((resolve) => {
    refuse = resolve;
  });
  const client = await world(
    {
      ClientStream(call, answer) {
        let messages = 0;
        call.on("data", () => {
          messages += 1;
          if (messages === 2) answer(refusal());
          if (messages === 2) refuse?.();
        });
      },
    },
    { ClientStream: collect },
  );
  const answered = new Promise((resolve) => {
    const call = client.clientStream((error, response) => resolve(error ?? String(response)));
    call.write(Buffer.from("1"));
    call.write(Buffer.from("2"));
    void isRefused.then(() => {
      for (const part of ["3", "4", "5"]) call.write(Buffer.from(part));
      call.end();
    });
  });
  expect(await answered).toBe("12345");
});

test("a call that its application cancels goes no other way", async () => {
  let proxied = 0;
  const client = await world(
    { Unary() {} },
    {
      Unary(_call, answer) {
        proxied += 1;
        answer(null, hello);
      },
    },
  );
  const { error } = await client.unary(hello, undefined, { deadline: Date.now() + 300 });
  expect([error?.code, proxied]).toEqual([grpc.status.DEADLINE_EXCEEDED, 0]);
});

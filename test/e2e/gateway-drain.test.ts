/** SIGTERM at a gateway whose clients speak HTTP/1.1: what is under way ends, and what takes too long is told why. */
import { Agent, type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

let web: WebMesh;

beforeAll(async () => {
  web = await startWebMesh(webPolicy(webListener("web")), (dir) => [
    ...["--listener", "web=127.0.0.1:0", "--descriptors", `${dir}/echo.binpb`, "--grace", "4s"],
  ]);
}, 90_000);

afterAll(() => web?.stop(), 60_000);

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Sends a request in Connect's JSON; resolves with the head of the answer. */
function post(method: string, type: string, body: Buffer, by: Agent | false): Promise<IncomingMessage> {
  const [host, port] = (web.addresses.web ?? "").split(":");
  return new Promise((resolve, reject) => {
    const headers = { "content-type": type, "content-length": body.length };
    const sent = request({ host, port, method: "POST", path: `/test.Echo/${method}`, headers, agent: by }, resolve);
    sent.on("error", reject).end(body);
  });
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));

/** A stream of so many messages; resolves when the first one is here. */
async function open(count: number, delayMs: number): Promise<() => Promise<readonly object[]>> {
  const message = json({ text: "x", count, delayMs });
  const length = Buffer.alloc(5);
  length.writeUInt32BE(message.length, 1);
  const type = "application/connect+json";
  const response = await post("ServerStream", type, Buffer.concat([length, message]), false);
  expect(response.statusCode).toBe(200);
  await new Promise((resolve) => response.once("readable", resolve));
  return async () => {
    const frames: object[] = [];
    for (let rest = await bodyOf(response); rest.length > 0; rest = rest.subarray(5 + rest.readUInt32BE(1)))
      frames.push(JSON.parse(rest.subarray(5, 5 + rest.readUInt32BE(1)).toString()) as object);
    return frames;
  };
}

test("streams end whole or with the reason, and the last answer on a connection says that it is the last", async () => {
  const [short, long] = await Promise.all([open(5, 300), open(1000, 300)]);
  const ends = Promise.all([short(), long()]);
  await bodyOf(await post("Unary", "application/json", json({ text: "first" }), agent)); // the connection is there
  web.gateway.child.kill("SIGTERM");
  for (let isLast = false; !isLast; ) {
    const response = await post("Unary", "application/json", json({ text: "again" }), agent);
    expect([response.statusCode, JSON.parse((await bodyOf(response)).toString())]).toMatchObject([
      200,
      { text: "again" },
    ]);
    isLast = response.headers.connection === "close";
  }
  const [whole, cut] = await ends;
  expect(whole).toHaveLength(6);
  expect(whole.at(-1)).not.toHaveProperty("error");
  expect(cut.at(-1)).toMatchObject({ error: { code: "unavailable", message: "the gateway is stopping" } });
  await web.gateway.exited;
}, 60_000);

// An application for tests: node echo-app.mjs --version V (--listen unix:PATH|HOST:PORT | --agent unix:PATH --service NAME)
// With --failing FILE it answers 14 while that file is there. With --health it answers grpc.health.v1; with --applied FILE it writes a line there for each write: sequence, key and text.
// A request of several messages has their texts joined by "+"; of a call both ways each message is a line. Prints "ready" when it serves. On SIGTERM it leaves the mesh and ends.
import { appendFileSync, existsSync } from "node:fs";
import { join as joinPath } from "node:path";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const { values } = parseArgs({
  options: {
    version: { type: "string" },
    listen: { type: "string" },
    agent: { type: "string" },
    service: { type: "string" },
    health: { type: "boolean" },
    applied: { type: "string" },
    failing: { type: "string" },
  },
});
const version = values.version ?? "v1";
const proto = grpc.loadPackageDefinition(
  loadSync(joinPath(import.meta.dirname, "echo.proto"), { keepCase: true, defaults: true }),
);

const answer = (call, request, count = 1) => ({
  text: request.text,
  payload: request.payload,
  caller: String(call.metadata.get("ashlar-caller")[0] ?? ""),
  version,
  count,
});

function trailersFor(call) {
  const trailers = new grpc.Metadata();
  trailers.set("x-trailer", "end");
  for (const value of call.metadata.get("x-echo-bin")) trailers.add("x-echo-bin", value);
  return trailers;
}

function noteApplied(call, text) {
  if (values.applied === undefined) return;
  const of = (name) => String(call.metadata.get(name)[0] ?? "");
  appendFileSync(values.applied, `${of("ashlar-sequence")} ${of("ashlar-key")} ${text}\n`);
}

function unary(call, callback) {
  const { request } = call;
  noteApplied(call, request.text);
  const headers = new grpc.Metadata();
  headers.set("x-header", String(call.metadata.get("x-sent")[0] ?? "none"));
  for (const name of ["ashlar-client", "x-forwarded-for"])
    headers.set(`x-seen-${name}`, call.metadata.get(name).map(String).join());
  call.sendMetadata(headers);
  const respond = () => {
    const fails = values.failing !== undefined && existsSync(values.failing);
    if (fails) callback({ code: grpc.status.UNAVAILABLE, details: "the database is away" });
    else if (request.status !== 0) callback({ code: request.status, details: "as asked", metadata: trailersFor(call) });
    else callback(null, answer(call, request), trailersFor(call));
  };
  if (request.delay_ms > 0) setTimeout(respond, request.delay_ms);
  else respond();
}

function serverStream(call) {
  const { request } = call;
  let sent = 0;
  const next = () => {
    if (call.cancelled) return;
    if (sent === request.count) return call.end(trailersFor(call));
    sent += 1;
    const more = call.write(answer(call, request, sent));
    if (request.delay_ms > 0) setTimeout(next, request.delay_ms);
    else if (more) setImmediate(next);
    else call.once("drain", next);
  };
  next();
}

function clientStream(call, callback) {
  let count = 0;
  let last = { text: "", payload: Buffer.alloc(0) };
  const texts = [];
  call.on("data", (request) => {
    count += 1;
    last = request;
    if (values.applied !== undefined) texts.push(request.text);
  });
  call.on("end", () => {
    if (call.cancelled) return; // a stream that was cancelled ends too
    noteApplied(call, texts.join("+"));
    callback(null, answer(call, last, count), trailersFor(call));
  });
}

function bidi(call) {
  let count = 0;
  call.on("data", (request) => {
    count += 1;
    noteApplied(call, request.text);
    call.write(answer(call, request, count));
  });
  call.on("end", () => call.end(trailersFor(call)));
  call.on("error", () => {});
}

const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
server.addService(proto.test.Echo.service, {
  Unary: unary,
  ServerStream: serverStream,
  ClientStream: clientStream,
  Bidi: bidi,
  Forbidden: unary,
});

if (values.health) {
  const { HealthImplementation } = await import("grpc-health-check");
  new HealthImplementation({ "": "SERVING" }).addToServer(server);
}

if (values.listen !== undefined) {
  await new Promise((resolve, reject) =>
    server.bindAsync(values.listen, grpc.ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  process.on("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
} else {
  const { join } = await import("ashlar/sdk");
  const mesh = await join({ service: values.service, agent: values.agent });
  await mesh.serve(server);
  process.on("SIGTERM", async () => {
    await mesh.leave();
    process.exit(0);
  });
}
console.log("ready");

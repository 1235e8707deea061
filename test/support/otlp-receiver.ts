/** Receivers that decode the traces of real exporters: OTLP over gRPC and over HTTP. */
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import protobuf from "protobufjs";

const proto = `
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; int64 int_value = 3; double double_value = 4; } }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
  int32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; Status status = 15;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Status { string message = 2; int32 code = 3; }
`;

const requestType = protobuf.parse(proto).root.lookupType("Request");

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  /** The span kind. 2: server, 3: client. */
  readonly kind: number;
  readonly tookNs: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly events: readonly string[];
  /** The status code. 2: error. */
  readonly code: number;
  readonly resource: Readonly<Record<string, string | number>>;
}

// biome-ignore lint/suspicious/noExplicitAny: decoded by reflection
type Decoded = any;

const hex = (bytes: string): string => Buffer.from(bytes, "base64").toString("hex");
const attributesOf = (list: Decoded): Record<string, string | number> =>
  Object.fromEntries(
    (list ?? []).map(({ key, value }: Decoded) => [
      key,
      value.stringValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  );

function read(bytes: Uint8Array): ReceivedSpan[] {
  const message: Decoded = requestType.toObject(requestType.decode(bytes), { longs: String, bytes: String });
  return (message.resourceSpans ?? []).flatMap(({ resource, scopeSpans }: Decoded) =>
    (scopeSpans ?? []).flatMap(({ spans }: Decoded) =>
      (spans ?? []).map((span: Decoded) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentId: hex(span.parentSpanId ?? ""),
        state: span.traceState ?? "",
        name: span.name,
        kind: span.kind,
        tookNs: BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano),
        attributes: attributesOf(span.attributes),
        events: (span.events ?? []).map(({ name }: Decoded) => name),
        code: span.status?.code ?? 0,
        resource: attributesOf(resource?.attributes),
      })),
    ),
  );
}

export interface Receiver {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  stop(): void;
}

/** `answer`: "hang" never answers, "refuse" answers with an error. */
export async function startGrpcReceiver(): Promise<Receiver> {
  const spans: ReceivedSpan[] = [];
  const server = new Server();
  const method = {
    path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  server.addService(
    { Export: method },
    {
      Export: (call: { request: Buffer }, done: (error: null, bytes: Buffer) => void) => {
        spans.push(...read(call.request));
        done(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { url: `grpc://127.0.0.1:${port}`, spans, stop: () => server.forceShutdown() };
}

export async function startHttpReceiver(answer: "take" | "hang" | "refuse" = "take"): Promise<Receiver> {
  const spans: ReceivedSpan[] = [];
  const server: HttpServer = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (answer === "hang") return;
      if (answer === "refuse" || request.url !== "/v1/traces") {
        response.writeHead(400).end();
        return;
      }
      const body = Buffer.concat(chunks);
      spans.push(...read(request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, spans, stop };
}

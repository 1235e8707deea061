/** gRPC's interoperability service. Messages are JSON, padded with spaces to the size that a shape wants. */
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
} from "@grpc/grpc-js";

export const servicePath = "/grpc.testing.TestService";
const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `${servicePath}/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

const definition: ServiceDefinition = {
  EmptyCall: method("EmptyCall", false, false),
  UnaryCall: method("UnaryCall", false, false),
  StreamingInputCall: method("StreamingInputCall", true, false),
  StreamingOutputCall: method("StreamingOutputCall", false, true),
  FullDuplexCall: method("FullDuplexCall", true, true),
};

interface Wish {
  readonly sizes?: readonly number[];
  readonly status?: { readonly code: number; readonly message: string };
}

/** A call of any kind, as far as its metadata is concerned. */
interface Called {
  readonly metadata: Metadata;
  sendMetadata(metadata: Metadata): void;
}

const initial = "x-grpc-test-echo-initial";
const trailing = "x-grpc-test-echo-trailing-bin";

const wishOf = (request: Buffer): Wish => (request.length === 0 ? {} : JSON.parse(request.toString()));

/** Echoes what is asked for at the start; gives what is asked for at the end. */
function echoMetadata(call: Called): Metadata {
  const trailers = call.metadata.clone();
  for (const name of Object.keys(trailers.getMap())) if (name !== trailing) trailers.remove(name);
  const value = call.metadata.get(initial)[0];
  if (value !== undefined) {
    const headers = call.metadata.clone();
    for (const name of Object.keys(headers.getMap())) if (name !== initial) headers.remove(name);
    call.sendMetadata(headers);
  }
  return trailers;
}

function failure(wish: Wish, metadata: Metadata): Partial<ServiceError> | undefined {
  return wish.status === undefined ? undefined : { code: wish.status.code, details: wish.status.message, metadata };
}

function unary(call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void {
  const trailers = echoMetadata(call);
  const wish = wishOf(call.request);
  respond(failure(wish, trailers) ?? null, Buffer.alloc(wish.sizes?.[0] ?? 0), trailers);
}

function input(call: ServerReadableStream<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void {
  let bytes = 0;
  call.on("data", (message: Buffer) => {
    bytes += message.length;
  });
  call.on("error", () => {});
  call.on("end", () => respond(null, Buffer.from(JSON.stringify({ bytes }))));
}

function output(call: ServerWritableStream<Buffer, Buffer>): void {
  for (const size of wishOf(call.request).sizes ?? []) call.write(Buffer.alloc(size));
  call.end();
}

function duplex(call: ServerDuplexStream<Buffer, Buffer>): void {
  const trailers = echoMetadata(call);
  call.on("error", () => {});
  call.on("data", (message: Buffer) => {
    const wish = wishOf(message);
    const failed = failure(wish, trailers);
    if (failed !== undefined) call.emit("error", Object.assign(new Error(wish.status?.message), failed));
    else for (const size of wish.sizes ?? []) call.write(Buffer.alloc(size));
  });
  call.on("end", () => call.end(trailers));
}

/** Listens on the socket; gives the way to stop it. */
export function startInteropServer(path: string): Promise<() => void> {
  const server = new Server();
  server.addService(definition, {
    EmptyCall: unary,
    UnaryCall: unary,
    StreamingInputCall: input,
    StreamingOutputCall: output,
    FullDuplexCall: duplex,
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve(() => server.forceShutdown());
    });
  });
}

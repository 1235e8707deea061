/** A gRPC service of plain bytes, for tests of what is between client and server. */
import {
  Client,
  type ClientOptions,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Bytes/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const definition: ServiceDefinition = {
  Unary: method("Unary", false, false),
  ServerStream: method("ServerStream", false, true),
  ClientStream: method("ClientStream", true, false),
  Bidi: method("Bidi", true, true),
};

export interface ByteHandlers {
  readonly Unary?: handleUnaryCall<Buffer, Buffer>;
  readonly ServerStream?: handleServerStreamingCall<Buffer, Buffer>;
  readonly ClientStream?: handleClientStreamingCall<Buffer, Buffer>;
  readonly Bidi?: handleBidiStreamingCall<Buffer, Buffer>;
}

const big = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** Starts the service on "unix:PATH" or "127.0.0.1:0". Returns its port. */
export async function startByteServer(bind: string, handlers: ByteHandlers): Promise<{ server: Server; port: number }> {
  const server = new Server(big);
  server.addService(definition, { ...handlers });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(bind, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { server, port };
}

export interface UnaryResult {
  readonly error: ServiceError | undefined;
  readonly response: Buffer | undefined;
  readonly headers: Metadata | undefined;
  readonly trailers: Metadata;
}

export class ByteClient extends Client {
  constructor(target: string, authority: string, channel = credentials.createInsecure(), more: ClientOptions = {}) {
    // Node 26 takes no address for the name in TLS.
    const name = channel._isSecure() ? { "grpc.ssl_target_name_override": authority } : {};
    super(target, channel, { ...big, "grpc.default_authority": authority, ...name, ...more });
  }

  unary(request: Buffer, metadata = new Metadata(), options: { deadline?: number } = {}): Promise<UnaryResult> {
    return new Promise((resolve) => {
      let headers: Metadata | undefined;
      let trailers = new Metadata();
      let outcome: { error: ServiceError | undefined; response: Buffer | undefined } | undefined;
      const call = this.makeUnaryRequest(
        "/test.Bytes/Unary",
        same,
        same,
        request,
        metadata,
        options,
        (error, response) => {
          outcome = { error: error ?? undefined, response };
        },
      );
      call.on("metadata", (received: Metadata) => {
        headers = received;
      });
      call.on("status", (status) => {
        trailers = status.metadata;
        setImmediate(() => resolve({ ...(outcome ?? { error: undefined, response: undefined }), headers, trailers }));
      });
    });
  }

  serverStream(request: Buffer, metadata = new Metadata(), options: { deadline?: number } = {}) {
    return this.makeServerStreamRequest("/test.Bytes/ServerStream", same, same, request, metadata, options);
  }

  clientStream(done: (error: ServiceError | null, response?: Buffer) => void, metadata = new Metadata()) {
    return this.makeClientStreamRequest("/test.Bytes/ClientStream", same, same, metadata, {}, done);
  }

  bidi(metadata = new Metadata()) {
    return this.makeBidiStreamRequest("/test.Bytes/Bidi", same, same, metadata, {});
  }
}

/** gRPC's interoperability shapes with grpc-js as the client: each resolves, or fails with what was wrong. */
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { servicePath } from "./server.js";

const same = (bytes: Buffer): Buffer => bytes;
const none = Buffer.alloc(0);
const gzip = 2;
const special = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

/** A message that asks for answers of these sizes. */
function wish(sizes: readonly number[], bytes = 0, asked?: { code: number; message: string }): Buffer {
  return Buffer.from(JSON.stringify({ sizes, ...(asked === undefined ? {} : { status: asked }) }).padEnd(bytes));
}

function expect(what: string, seen: unknown, wanted: unknown): void {
  if (JSON.stringify(seen) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
  }
}

interface Ended {
  readonly code: number;
  readonly details: string;
  readonly size: number;
  readonly initial: Metadata;
  readonly trailing: Metadata;
}

type Duplex = ClientDuplexStream<Buffer, Buffer>;

export class InteropClient {
  readonly #client: Client;

  /** `trusted`: the PEM certificates of CAs that TLS trusts; left out: no TLS. */
  constructor(target: string, authority: string, compressed = false, trusted?: string) {
    this.#client = new Client(
      target,
      trusted === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(trusted)),
      {
        "grpc.default_authority": authority,
        ...(trusted === undefined ? {} : { "grpc.ssl_target_name_override": authority }),
        ...(compressed ? { "grpc.default_compression_algorithm": gzip } : {}),
      },
    );
  }

  close(): void {
    this.#client.close();
  }

  unary(path: string, request: Buffer, metadata = new Metadata(), options: CallOptions = {}): Promise<Ended> {
    return new Promise((resolve) => {
      let size = -1;
      let initial = new Metadata();
      const done = (_error: ServiceError | null, response?: Buffer) => {
        size = response?.length ?? -1;
      };
      const call = this.#client.makeUnaryRequest(path, same, same, request, metadata, options, done);
      call.on("metadata", (headers) => {
        initial = headers;
      });
      call.on("status", ({ code, details, metadata: trailing }) =>
        setImmediate(() => resolve({ code, details, size, initial, trailing })),
      );
    });
  }

  async emptyUnary(): Promise<void> {
    const { code, size } = await this.unary(`${servicePath}/EmptyCall`, none);
    expect("empty_unary", [code, size], [status.OK, 0]);
  }

  async largeUnary(): Promise<void> {
    const { code, size } = await this.unary(`${servicePath}/UnaryCall`, wish([314_159], 271_828));
    expect("large_unary", [code, size], [status.OK, 314_159]);
  }

  async clientStreaming(): Promise<void> {
    const answer = await new Promise<string>((resolve, reject) => {
      const path = `${servicePath}/StreamingInputCall`;
      const call = this.#client.makeClientStreamRequest(path, same, same, (error, response?: Buffer) =>
        error === null ? resolve(String(response)) : reject(error),
      );
      for (const size of [27_182, 8, 1828, 45_904]) call.write(Buffer.alloc(size));
      call.end();
    });
    expect("client_streaming", JSON.parse(answer), { bytes: 74_922 });
  }

  async serverStreaming(sizes: readonly number[] = [31_415, 9, 2653, 58_979]): Promise<void> {
    const path = `${servicePath}/StreamingOutputCall`;
    const call = this.#client.makeServerStreamRequest(path, same, same, wish(sizes));
    const seen: number[] = [];
    for await (const message of call) seen.push((message as Buffer).length);
    expect("server_streaming", seen, sizes);
  }

  #duplex(metadata = new Metadata()): {
    call: Duplex;
    sizes: number[];
    initial: Promise<Metadata>;
    ended: Promise<StatusObject>;
  } {
    const call = this.#client.makeBidiStreamRequest(`${servicePath}/FullDuplexCall`, same, same, metadata);
    const sizes: number[] = [];
    call.on("error", () => {});
    call.on("data", (message: Buffer) => sizes.push(message.length));
    const initial = new Promise<Metadata>((resolve) => call.once("metadata", resolve));
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    return { call, sizes, initial, ended };
  }

  async pingPong(): Promise<void> {
    const { call, sizes, ended } = this.#duplex();
    for (const [answer, bytes] of [
      [31_415, 27_182],
      [9, 8],
      [2653, 1828],
      [58_979, 45_904],
    ] as const) {
      const got = new Promise((resolve) => call.once("data", resolve));
      call.write(wish([answer], bytes + 30));
      await got;
    }
    call.end();
    expect("ping_pong", [(await ended).code, sizes], [status.OK, [31_415, 9, 2653, 58_979]]);
  }

  async emptyStream(): Promise<void> {
    const { call, sizes, ended } = this.#duplex();
    call.end();
    expect("empty_stream", [(await ended).code, sizes], [status.OK, []]);
  }

  async cancelAfterBegin(): Promise<void> {
    const ended = await new Promise<ServiceError | null>((resolve) => {
      const path = `${servicePath}/StreamingInputCall`;
      const call = this.#client.makeClientStreamRequest(path, same, same, (error) => resolve(error));
      call.cancel();
    });
    expect("cancel_after_begin", ended?.code, status.CANCELLED);
  }

  async cancelAfterFirstResponse(): Promise<void> {
    const { call, ended } = this.#duplex();
    const got = new Promise((resolve) => call.once("data", resolve));
    call.write(wish([31_415], 27_182));
    await got;
    call.cancel();
    expect("cancel_after_first_response", (await ended).code, status.CANCELLED);
  }

  async timeoutOnSleepingServer(): Promise<void> {
    const path = `${servicePath}/FullDuplexCall`;
    const call = this.#client.makeBidiStreamRequest(path, same, same, new Metadata(), { deadline: Date.now() + 50 });
    call.on("error", () => {});
    call.resume();
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    call.write(wish([], 27_182));
    expect("timeout_on_sleeping_server", (await ended).code, status.DEADLINE_EXCEEDED);
  }

  async customMetadata(): Promise<void> {
    const metadata = new Metadata();
    metadata.set("x-grpc-test-echo-initial", "test_initial_metadata_value");
    metadata.set("x-grpc-test-echo-trailing-bin", Buffer.of(0xab, 0xab, 0xab));
    const wanted = ["test_initial_metadata_value", "ababab"];
    const read = (initial: Metadata, trailing: Metadata) => [
      initial.get("x-grpc-test-echo-initial")[0],
      (trailing.get("x-grpc-test-echo-trailing-bin")[0] as Buffer | undefined)?.toString("hex"),
    ];
    const { initial, trailing } = await this.unary(`${servicePath}/UnaryCall`, wish([314_159], 271_828), metadata);
    expect("custom_metadata, unary", read(initial, trailing), wanted);
    const duplex = this.#duplex(metadata);
    duplex.call.write(wish([314_159], 271_828));
    duplex.call.end();
    expect("custom_metadata, stream", read(await duplex.initial, (await duplex.ended).metadata), wanted);
  }

  async #statusOf(message: string): Promise<void> {
    const asked = { code: status.UNKNOWN, message };
    const { code, details } = await this.unary(`${servicePath}/UnaryCall`, wish([], 0, asked));
    expect("status, unary", [code, details], [status.UNKNOWN, message]);
    const { call, ended } = this.#duplex();
    call.write(wish([], 0, asked));
    call.end();
    const end = await ended;
    expect("status, stream", [end.code, end.details], [status.UNKNOWN, message]);
  }

  statusCodeAndMessage = (): Promise<void> => this.#statusOf("test status message");
  specialStatusMessage = (): Promise<void> => this.#statusOf(special);

  async unimplementedMethod(): Promise<void> {
    const { code } = await this.unary(`${servicePath}/UnimplementedCall`, none);
    expect("unimplemented_method", code, status.UNIMPLEMENTED);
  }

  async unimplementedService(): Promise<void> {
    const { code } = await this.unary("/grpc.testing.UnimplementedService/UnimplementedCall", none);
    expect("unimplemented_service", code, status.UNIMPLEMENTED);
  }

  /** Every shape by its name in gRPC's list. */
  get shapes(): ReadonlyMap<string, () => Promise<void>> {
    return new Map<string, () => Promise<void>>([
      ["empty_unary", () => this.emptyUnary()],
      ["large_unary", () => this.largeUnary()],
      ["client_streaming", () => this.clientStreaming()],
      ["server_streaming", () => this.serverStreaming()],
      ["ping_pong", () => this.pingPong()],
      ["empty_stream", () => this.emptyStream()],
      ["cancel_after_begin", () => this.cancelAfterBegin()],
      ["cancel_after_first_response", () => this.cancelAfterFirstResponse()],
      ["timeout_on_sleeping_server", () => this.timeoutOnSleepingServer()],
      ["custom_metadata", () => this.customMetadata()],
      ["status_code_and_message", this.statusCodeAndMessage],
      ["special_status_message", this.specialStatusMessage],
      ["unimplemented_method", () => this.unimplementedMethod()],
      ["unimplemented_service", () => this.unimplementedService()],
    ]);
  }
}

/** A client of test/support/echo.proto for one outbound socket. */
import { join } from "node:path";
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
  type StatusObject,
  status as statusCode,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const definition = loadPackageDefinition(
  loadSync(join(import.meta.dirname, "echo.proto"), { keepCase: true, defaults: true }),
);
// biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types
const Echo = (definition as any).test.Echo as ServiceClientConstructor;

export interface EchoRequest {
  readonly text?: string;
  readonly payload?: Buffer;
  readonly count?: number;
  readonly delay_ms?: number;
  readonly status?: number;
}

export interface EchoResponse {
  readonly text: string;
  readonly payload: Buffer;
  readonly caller: string;
  readonly version: string;
  readonly count: number;
}

export interface UnaryResult {
  readonly response: EchoResponse | undefined;
  readonly code: number;
  readonly details: string;
  readonly headers: Metadata;
  readonly trailers: Metadata;
}

export interface UnaryOptions {
  readonly method?: "Unary" | "Forbidden";
  readonly metadata?: Metadata;
  readonly deadlineMs?: number;
  readonly isPatient?: boolean;
}

/** A proxy that the machine gives no time refuses calls, which says nothing of what a test is about. */
export const isOverloaded = ({ code, details }: Pick<UnaryResult, "code" | "details">): boolean =>
  code === statusCode.UNAVAILABLE && details.startsWith("the proxy is overloaded (event-loop)");

export class EchoClient {
  // biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types
  readonly raw: any;

  constructor(
    target: string,
    authority: string,
    security: ChannelCredentials = credentials.createInsecure(),
    more: ClientOptions = {},
  ) {
    const options = {
      "grpc.default_authority": authority,
      ...(security._isSecure() ? { "grpc.ssl_target_name_override": authority } : {}),
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      ...more,
    };
    this.raw = new Echo(target, security, options);
  }

  /**
   * Never rejects: what came back, whatever it is. A call that a proxy refused because the machine gave it no time is made
   * again, unless `isPatient` is false.
   */
  async unary(request: EchoRequest, options: UnaryOptions = {}): Promise<UnaryResult> {
    for (let tries = 1; ; tries += 1) {
      const answer = await this.#once(request, options);
      if (!isOverloaded(answer) || options.isPatient === false || tries === 20) return answer;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  #once(request: EchoRequest, options: UnaryOptions): Promise<UnaryResult> {
    return new Promise((resolve) => {
      let headers = new Metadata();
      let status: StatusObject | undefined;
      let answer: { error: ServiceError | null; response: EchoResponse | undefined } | undefined;
      const finish = () => {
        if (status === undefined || answer === undefined) return;
        resolve({
          response: answer.response,
          code: status.code,
          details: status.details,
          headers,
          trailers: status.metadata,
        });
      };
      const callOptions = { deadline: Date.now() + (options.deadlineMs ?? 20_000) };
      const call = this.raw[options.method ?? "Unary"](
        request,
        options.metadata ?? new Metadata(),
        callOptions,
        (error: ServiceError | null, response?: EchoResponse) => {
          answer = { error, response };
          finish();
        },
      );
      call.on("metadata", (received: Metadata) => {
        headers = received;
      });
      call.on("status", (received: StatusObject) => {
        status = received;
        finish();
      });
    });
  }

  serverStream(request: EchoRequest): ClientReadableStream<EchoResponse> {
    return this.raw.ServerStream(request);
  }

  clientStream(requests: readonly EchoRequest[]): Promise<EchoResponse> {
    return new Promise((resolve, reject) => {
      const call = this.raw.ClientStream((error: ServiceError | null, response: EchoResponse) =>
        error ? reject(error) : resolve(response),
      );
      for (const request of requests) call.write(request);
      call.end();
    });
  }

  bidi(): ClientDuplexStream<EchoRequest, EchoResponse> {
    return this.raw.Bidi();
  }

  close(): void {
    this.raw.close();
  }
}

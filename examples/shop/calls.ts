/** Calls as promises, for clients of a service that was loaded from its .proto file. */
import {
  type Client,
  Metadata,
  type MethodDefinition,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";

/** The result of a call. */
export interface Outcome<Response> {
  readonly code: status;
  /** The status message of the other side. */
  readonly message: string;
  readonly responses: readonly Response[];
  readonly trailers: Metadata;
}

const deadlineMs = 10_000;

/** Calls any kind of method: sends all requests, collects all responses, and never fails. */
export function call<Response>(
  client: Client,
  service: ServiceClientConstructor,
  method: string,
  ...requests: readonly object[]
): Promise<Outcome<Response>> {
  return callWith(new Metadata(), client, service, method, ...requests);
}

/** Makes a call as `call` does, with metadata. */
export function callWith<Response>(
  metadata: Metadata,
  client: Client,
  service: ServiceClientConstructor,
  method: string,
  ...requests: readonly object[]
): Promise<Outcome<Response>> {
  return callWithin(deadlineMs, metadata, client, service, method, ...requests);
}

/** Makes a call as `callWith` does, with a deadline of `timeoutMs`. */
export function callWithin<Response>(
  timeoutMs: number,
  metadata: Metadata,
  client: Client,
  service: ServiceClientConstructor,
  method: string,
  ...requests: readonly object[]
): Promise<Outcome<Response>> {
  const definition = service.service[method] as MethodDefinition<object, Response> | undefined;
  if (definition === undefined)
    throw new Error(`no method ${method}: there are ${Object.keys(service.service).join(", ")}`);
  const { path, requestSerialize, responseDeserialize } = definition;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, {
    deadline: Date.now() + timeoutMs,
  });
  return new Promise((resolve) => {
    const responses: Response[] = [];
    stream.on("data", (response: Response) => responses.push(response));
    stream.on("error", () => {}); // the status says it too
    stream.on("status", ({ code, details, metadata }) => {
      resolve({ code, message: details, responses, trailers: metadata });
    });
    for (const request of requests) stream.write(request);
    stream.end();
  });
}

/** Calls a method with one answer; fails with the status if it is not OK. */
export async function callOne<Response>(
  client: Client,
  service: ServiceClientConstructor,
  method: string,
  request: object,
): Promise<Response> {
  const { code, message, responses, trailers } = await call<Response>(client, service, method, request);
  const [response] = responses;
  if (code === status.OK && response !== undefined) return response;
  throw Object.assign(new Error(`${method}: ${message}`), { code, details: message, metadata: trailers });
}

/** Returns a failed call's status for the caller of this service. */
export function passOn(error: unknown): Partial<ServiceError> {
  const { code = status.INTERNAL, details = "failed" } = error as Partial<ServiceError>;
  return { code, details };
}

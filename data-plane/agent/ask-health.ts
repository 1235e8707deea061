/** Asks an application with grpc.health.v1 whether it serves (gRPC Health Checking Protocol). */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { type Client, credentials } from "@grpc/grpc-js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { callUnary, connectGrpc, type MethodDescription } from "../../runtime/grpc-client.js";
import type { AppRegistration } from "../ports.js";

/** The answer of an application. */
export type AskedHealth =
  | { readonly kind: "serving" }
  /** The application answered NOT_SERVING. */
  | { readonly kind: "not-serving"; readonly why: string }
  /** The application answered something else, or does not know the service; it may give this answer to any question. */
  | { readonly kind: "unclear"; readonly why: string }
  /** The application does not implement grpc.health.v1. */
  | { readonly kind: "unimplemented" }
  /** There was no answer, or none in time. */
  | { readonly kind: "failed"; readonly why: string };

const servingStatus = 1;
const notServingStatus = 2;
/** The names of HealthCheckResponse.ServingStatus, grpc/health/v1/health.proto. */
const statusNames = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

const check: MethodDescription<string, number> = {
  path: "/grpc.health.v1.Health/Check",
  requestSerialize: (service) =>
    Buffer.from(
      new BinaryWriter()
        .uint32((1 << 3) | 2)
        .string(service)
        .finish(),
    ),
  responseDeserialize(bytes) {
    const reader = new BinaryReader(bytes);
    let status = 0;
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 1 << 3) status = reader.int32();
      else reader.skip(tag & 7);
    }
    return status;
  },
};

/** A channel to one application, which connects at the first question. */
export class HealthAsker {
  readonly #client: Client;

  constructor(target: AppRegistration["target"]) {
    const address = "path" in target ? `unix:${target.path}` : `${target.host}:${target.port}`;
    const options = { "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1000 };
    this.#client = connectGrpc({ address, credentials: credentials.createInsecure(), options });
  }

  /** Asks about `service`; "" is the whole server. Never rejects. */
  async ask(service: string, timeoutMs: number, signal: AbortSignal): Promise<AskedHealth> {
    try {
      const status = await callUnary(this.#client, check, service, { timeoutMs, signal });
      if (status === servingStatus) return { kind: "serving" };
      const why = `it says ${statusNames[status] ?? status}`;
      return { kind: status === notServingStatus ? "not-serving" : "unclear", why };
    } catch (error) {
      if (isAshlarError(error, "not_supported")) return { kind: "unimplemented" };
      if (isAshlarError(error, "not_found")) return { kind: "unclear", why: `it does not know ${service}` };
      return { kind: "failed", why: messageOf(error) };
    }
  }

  close(): void {
    this.#client.close();
  }
}

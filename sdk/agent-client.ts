/** A client of the local proxy's agent socket. Its error messages say what to do. */
import { existsSync } from "node:fs";
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { AshlarError, messageOf } from "../core/errors.js";
import {
  AgentServiceClient,
  type FollowDirectResponse,
  type RegisterRequest,
  type RegisterResponse,
} from "../proto/gen/ashlar/v1/agent.js";
import type { Clock } from "../runtime/clock.js";

/** Who the local proxy is and where its sockets are. */
export interface MeshDescription {
  readonly mesh: string;
  readonly service: string;
  /** The version in the proxy's join token. */
  readonly version: string;
  readonly proxyId: string;
  /** The gRPC target of the proxy's outbound socket. */
  readonly outbound: string;
  /** The folder, of mode 0700, for the application's own socket. */
  readonly socketDir: string;
  /** The SPIFFE ID that calls of this application carry. */
  readonly spiffeId: string;
  /** Whether the proxy has an active revision and accepts calls. */
  readonly ready: boolean;
}

export type RegisterStream = ClientDuplexStream<RegisterRequest, RegisterResponse>;

export interface AgentClient {
  /** The gRPC target of the agent socket. */
  readonly target: string;
  /**
   * Asks the proxy to describe itself, and waits for the socket up to `timeoutMs`. Fails with `unavailable` if nobody
   * answers by then.
   */
  describe(timeoutMs: number): Promise<MeshDescription>;
  register(): RegisterStream;
  /** Where reads of `service` may go without the proxy. */
  followDirect(service: string): ClientReadableStream<FollowDirectResponse>;
  /** A certificate for the key of `csr`; DER, leaf first. Fails with the agent's error. */
  issueDirect(csr: Buffer): Promise<readonly Uint8Array[]>;
  close(): void;
}

const issueTimeoutMs = 20_000;
const permanentStatuses: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.PERMISSION_DENIED,
  status.UNIMPLEMENTED,
]);

/** Returns whether asking the agent again would give the same answer. */
export function isPermanent(error: ServiceError): boolean {
  return permanentStatuses.has(error.code);
}

/** Returns the gRPC target of an agent address: "unix:PATH", a bare absolute path, or "HOST:PORT". */
function agentTargetOf(address: string): string {
  return address.startsWith("/") ? `unix:${address}` : address;
}

/** Returns a client of the agent at `address`. Nothing is dialled before the first call. */
export function openAgentClient(address: string, clock: Clock): AgentClient {
  const target = agentTargetOf(address);
  const client = new AgentServiceClient(target, credentials.createInsecure(), {
    "grpc.default_authority": "agent",
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.service_config_disable_resolution": 1,
  });
  const ask = (deadline: number) =>
    new Promise<MeshDescription>((resolve, reject) => {
      client.describe({}, new Metadata(), { deadline }, (error, response) => {
        if (error) return reject(unanswered(target, error));
        const { _unknownFields, ...description } = response;
        resolve(description);
      });
    });
  return {
    target,
    describe: (timeoutMs) => {
      const deadline = clock.nowMs() + timeoutMs;
      return new Promise((resolve, reject) => {
        // waits for the socket, because application and proxy are often started together
        client.waitForReady(deadline, (notReady) => {
          if (notReady) reject(unreachable(target));
          else ask(deadline).then(resolve, reject);
        });
      });
    },
    register: () => client.register(),
    followDirect: (service) => client.followDirect({ service }),
    issueDirect: (csr) =>
      new Promise((resolve, reject) => {
        client.issueDirect({ csr }, new Metadata(), { deadline: clock.nowMs() + issueTimeoutMs }, (error, response) => {
          if (error) reject(error);
          else resolve(response.certificateChain);
        });
      }),
    close: () => client.close(),
  };
}

function unreachable(target: string): AshlarError {
  const path = target.startsWith("unix:") ? target.slice("unix:".length) : undefined;
  if (path !== undefined && !existsSync(path)) {
    return new AshlarError(
      "unavailable",
      `no agent socket at ${path}: start the proxy of this service with --agent unix:${path}, or set ASHLAR_AGENT to the socket it has`,
    );
  }
  return new AshlarError("unavailable", `no proxy answers at the agent socket ${target}: is the proxy running?`);
}

function unanswered(target: string, error: ServiceError): AshlarError {
  if (error.code === status.UNIMPLEMENTED) {
    return new AshlarError("invalid_argument", `${target} is not a proxy's agent socket`, { cause: error });
  }
  const message = `the agent at ${target} did not answer: ${error.details || messageOf(error)}`;
  return new AshlarError("unavailable", message, { cause: error });
}

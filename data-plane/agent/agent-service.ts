/** `ashlar.v1.AgentService`: the application on this machine joins the mesh through it. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { AshlarError, messageOf } from "../../core/errors.js";
import {
  AgentServiceService,
  type Applied,
  type DescribeResponse,
  IssueDirectResponse,
  type RegisterRequest,
  type RegisterResponse,
  type Registration,
} from "../../proto/gen/ashlar/v1/agent.js";
import type { Clock } from "../../runtime/clock.js";
import { parseSocketAddress } from "../../runtime/config.js";
import { type BoundService, bidi, bindService, serverStreaming, unary } from "../../runtime/grpc-handlers.js";
import { toGrpcStatus } from "../../runtime/grpc-status.js";
import type { Logger } from "../../runtime/log.js";
import type { AppRegistration } from "../ports.js";
import type { AppRegistry } from "./app-registry.js";
import { type AppliedReport, reportedSequencesMax } from "./applied-writes.js";
import type { DirectReads } from "./direct-reads.js";
import { isLoopback } from "./is-loopback.js";
import { probeApplication } from "./probe-application.js";
import { RegistrationLoop } from "./registration-loop.js";

export interface AgentDeps {
  readonly registry: AppRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly direct: Pick<DirectReads, "follow" | "issue">;
  /** Returns the present description of the proxy. */
  describe(): Omit<DescribeResponse, "_unknownFields">;
  /**
   * Resolves when peers have been told that the application left and its calls have ended, or when the time limit is
   * over.
   */
  drained(): Promise<void>;
}

export interface AgentOptions {
  /**
   * Milliseconds of silence after which the log reports an application. It is asked for a sign of life after a third of
   * that time.
   */
  readonly leaseMs: number;
  /** The most registration streams that may be open at once. */
  readonly registrationsMax: number;
  /** Milliseconds within which a new stream must name its application, because it occupies a place. */
  readonly firstMessageMsMax: number;
}

export const agentDefaults: AgentOptions = { leaseMs: 15_000, registrationsMax: 16, firstMessageMsMax: 30_000 };

/**
 * Bounds on what an application may take of its proxy: its mistakes, or a thief of its socket, would otherwise cost
 * others their calls. Only the owner of the socket connects, so one bound serves for all: 64 connections are more than
 * 16 registrations need.
 */
export const agentBounds = {
  connectionsMax: 64,
  streamsMax: 32,
  messageBytesMax: 64 * 1024,
  sessionMegabytesMax: 1,
} as const;

type RegisterStream = ServerDuplexStream<RegisterRequest, RegisterResponse>;

export function createAgentService(deps: AgentDeps, options: AgentOptions = agentDefaults): BoundService {
  let open = 0;
  return bindService(AgentServiceService, {
    describe: unary<object, DescribeResponse>(() => deps.describe()),
    followDirect: serverStreaming(({ service }, { signal }) => deps.direct.follow(service, signal)),
    issueDirect: unary(async ({ csr }) => {
      const chain = await deps.direct.issue(csr);
      return IssueDirectResponse.fromPartial({ certificateChain: chain.map((der) => Buffer.from(der)) });
    }),
    register: bidi<RegisterRequest, RegisterResponse>((stream) => {
      if (open >= options.registrationsMax) {
        throw new AshlarError("limit", `at most ${options.registrationsMax} applications register at a proxy`);
      }
      open += 1;
      serveRegistration(deps, options, stream, () => {
        open -= 1;
      });
    }),
  });
}

function serveRegistration(deps: AgentDeps, options: AgentOptions, stream: RegisterStream, closed: () => void): void {
  let over = false;
  let halfClosed = false;
  const fail = (error: AshlarError): void => {
    if (over) return;
    const failure = toGrpcStatus(error);
    stream.emit("error", Object.assign(new Error(failure.details), failure));
  };
  const loop = new RegistrationLoop(
    {
      register: (app, onRefused) => deps.registry.register(app, onRefused),
      setUnhealthy: (app, why) => deps.registry.setUnhealthy(app, "agent", why),
      probe: probeApplication,
      drained: () => deps.drained(),
      say: (message) => {
        if (over) return;
        stream.write(render(message));
        if (message === "drained" && halfClosed) finish();
      },
      fail: (code, reason) => fail(new AshlarError(code, reason)),
      nowMs: () => deps.clock.monotonicMs(),
      log: deps.log,
    },
    options.leaseMs,
  );
  const registered = new AbortController();
  const gone = (): void => {
    if (over) return;
    over = true;
    registered.abort();
    loop.handle({ kind: "gone" });
    closed();
  };
  void deps.clock.sleep(options.firstMessageMsMax, registered.signal).then(() => {
    if (registered.signal.aborted) return;
    fail(new AshlarError("deadline", `no registration within ${options.firstMessageMsMax / 1000} s`));
    gone();
  });
  stream.on("data", (request: RegisterRequest) => {
    registered.abort();
    try {
      hear(deps, loop, request);
    } catch (error) {
      deps.log.warn("a registration was refused", { why: messageOf(error) });
      fail(error instanceof AshlarError ? error : new AshlarError("internal", "internal error", { cause: error }));
      gone();
    }
  });
  const finish = (): void => {
    gone();
    stream.end();
  };
  stream.on("end", () => {
    halfClosed = true;
    loop.handle({ kind: "half-closed" });
    if (loop.ended) finish();
  });
  stream.on("cancelled", gone);
  stream.on("close", gone);
  stream.on("error", gone);
}

function hear(deps: AgentDeps, loop: RegistrationLoop, { message }: RegisterRequest): void {
  switch (message?.$case) {
    case "registration":
      loop.registration(parseRegistration(message.value, deps.describe()));
      break;
    case "leave":
      loop.handle({ kind: "leave" });
      break;
    case "pong":
      loop.handle({ kind: "pong", nowMs: deps.clock.monotonicMs() });
      break;
    case "applied":
      loop.applied(parseApplied(message.value));
      break;
    default:
      throw new AshlarError("invalid_argument", "a message that this version of Ashlar does not know");
  }
}

function parseRegistration(
  { service, address, instance }: Registration,
  own: { readonly service: string; readonly proxyId: string },
): AppRegistration {
  if (service !== own.service) {
    const says = JSON.stringify(service.slice(0, 80));
    throw new AshlarError("stale", `this proxy serves ${own.service}, the application says it is ${says}`);
  }
  const target = parseSocketAddress(address);
  if (target === undefined) {
    throw new AshlarError("invalid_argument", `not unix:PATH or HOST:PORT: ${JSON.stringify(address.slice(0, 200))}`);
  }
  if ("host" in target && !isLoopback(target.host)) {
    throw new AshlarError(
      "invalid_argument",
      `${target.host} is not a loopback address: others could go around the proxy`,
    );
  }
  if (instance !== "" && !/^[A-Za-z0-9._-]{1,128}$/.test(instance)) {
    throw new AshlarError("invalid_argument", "an instance has 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-'");
  }
  return { instance: instance === "" ? own.proxyId : instance, target };
}

function parseApplied({ position, sequences }: Applied): AppliedReport {
  if (sequences.length > reportedSequencesMax)
    throw new AshlarError("limit", `${sequences.length} sequences at once, at most ${reportedSequencesMax} are taken`);
  return { position, sequences };
}

function render(message: "ping" | "drained" | { readonly registeredLeaseMs: number }): RegisterResponse {
  if (message === "ping") return { message: { $case: "ping", value: {} } };
  if (message === "drained") return { message: { $case: "drained", value: {} } };
  return { message: { $case: "registered", value: { leaseMs: message.registeredLeaseMs } } };
}

/** A real agent over a real Unix socket that does what the test says. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream, type status } from "@grpc/grpc-js";
import {
  AgentServiceService,
  type DescribeResponse,
  type RegisterRequest,
  type RegisterResponse,
  type Registration,
} from "../../proto/gen/ashlar/v1/agent.js";

type Stream = ServerDuplexStream<RegisterRequest, RegisterResponse>;

export interface FakeAgent {
  readonly folder: string;
  readonly target: string;
  /** What was heard, in order: "registration", "pong", "leave", "end". */
  readonly heard: string[];
  readonly registrations: Registration[];
  readonly applied: { readonly position: number; readonly sequences: readonly number[] }[];
  /** The open registration streams. */
  readonly streams: Set<Stream>;
  /** Answers the next registrations with this status, until it is taken away. */
  refuseWith: { readonly code: status; readonly details: string } | undefined;
  /** Called when the application wants to leave; default: Drained at once. */
  onLeave: (stream: Stream) => void;
  start(): Promise<void>;
  stop(): void;
  remove(): Promise<void>;
}

export async function createFakeAgent(service: string): Promise<FakeAgent> {
  const folder = await mkdtemp(join(tmpdir(), "ashlar-sdk-"));
  const target = `unix:${join(folder, "agent.sock")}`;
  let server: Server | undefined;
  const description: DescribeResponse = {
    mesh: "test",
    service,
    version: "v1",
    proxyId: "p-1",
    outbound: `unix:${join(folder, "outbound.sock")}`,
    socketDir: folder,
    spiffeId: `spiffe://test/service/${service}`,
    ready: true,
  };
  const agent: FakeAgent = {
    folder,
    target,
    heard: [],
    registrations: [],
    applied: [],
    streams: new Set(),
    refuseWith: undefined,
    onLeave: (stream) => stream.write({ message: { $case: "drained", value: {} } }),
    start: () =>
      new Promise((resolve, reject) => {
        server = new Server();
        server.addService(AgentServiceService, {
          describe: (_call: unknown, callback: (error: null, value: DescribeResponse) => void) =>
            callback(null, description),
          register: (stream: Stream) => register(agent, stream),
        });
        server.bindAsync(target, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
      }),
    stop: () => {
      agent.streams.clear();
      server?.forceShutdown();
      server = undefined;
    },
    remove: async () => {
      agent.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return agent;
}

function register(agent: FakeAgent, stream: Stream): void {
  agent.streams.add(stream);
  stream.on("error", () => agent.streams.delete(stream));
  stream.on("end", () => {
    agent.heard.push("end");
    agent.streams.delete(stream);
    stream.end();
  });
  stream.on("data", ({ message }: RegisterRequest) => {
    agent.heard.push(message?.$case ?? "nothing");
    if (message?.$case === "leave") agent.onLeave(stream);
    if (message?.$case === "applied") {
      const { position, sequences } = message.value;
      agent.applied.push({ position, sequences });
    }
    if (message?.$case !== "registration") return;
    agent.registrations.push(message.value);
    if (agent.refuseWith) stream.emit("error", agent.refuseWith);
    else stream.write({ message: { $case: "registered", value: { leaseMs: 10_000 } } });
  });
}

/**
 * The SDK: an application joins the mesh through its proxy's agent socket. It needs no key, no
 * certificate and no address of the control plane.
 *
 *     import { join } from "ashlar-sdk";
 *     const mesh = await join({ service: "inventory" });
 *     await mesh.serve(server);
 *     const payments = new PaymentsClient(...mesh.client("payments"));
 *     await mesh.leave();
 */
import { AshlarError } from "../core/errors.js";
import { systemClock } from "../runtime/clock.js";
import { type ApplicationGrpc, findApplicationGrpc } from "./application-grpc.js";
import { enterMesh, type Mesh } from "./mesh.js";

export { AshlarError, type ErrorCode, isAshlarError } from "../core/errors.js";
export type { MeshDescription } from "./agent-client.js";
export type { ApplicationGrpc } from "./application-grpc.js";
export { callerOf } from "./caller.js";
export type { ClientArguments } from "./client-arguments.js";
export type { DirectOptions } from "./direct/direct-reads.js";
export type { DirectStatus } from "./direct/direct-route.js";
export type { EventFeed, EventMethod, EventOptions, MeshEvent } from "./events.js";
export type { Applied, LeaveOptions, Mesh, ServeOptions } from "./mesh.js";
export type { RegistrationStatus } from "./registration-loop.js";

export interface JoinOptions {
  /** The name of the application's service, which must be the one that the proxy's join token names. */
  readonly service: string;
  /** The proxy's agent socket, "unix:PATH" or "HOST:PORT". Default: ASHLAR_AGENT of `env`. */
  readonly agent?: string;
  /** Where ASHLAR_AGENT is looked up. Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How long to wait for the agent socket, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number;
  /**
   * The application's own copy of @grpc/grpc-js, because its servers and clients accept credentials of no other copy. Give it
   * in a bundled application, where it cannot be found. Default: the copy that the application's main file would import.
   */
  readonly grpc?: ApplicationGrpc;
}

const joinTimeoutMs = 10_000;

/**
 * Joins the mesh through the proxy beside this application, waiting for its agent socket if the proxy
 * is still starting. Fails with `invalid_argument` if no agent is given or the proxy serves another
 * service, and with `unavailable` if nobody answers in time. The default of `env` is the one place
 * where the SDK reads the process's environment.
 */
export async function join(options: JoinOptions): Promise<Mesh> {
  const { service, env = process.env, timeoutMs = joinTimeoutMs } = options;
  const agent = options.agent ?? env.ASHLAR_AGENT;
  if (agent === undefined || agent === "") {
    const remedy = "set ASHLAR_AGENT=unix:PATH to the --agent of its proxy, or pass { agent }";
    throw new AshlarError("invalid_argument", `service ${service} does not know its proxy: ${remedy}`);
  }
  const grpc = options.grpc ?? findApplicationGrpc(process.argv[1]);
  return enterMesh(systemClock, { service, agent, timeoutMs, grpc });
}

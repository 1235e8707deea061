/** Direct reads of an application: one certificate, and a route for each service that it reads from. */
import { type Channel, type ClientOptions, type ServiceError, status } from "@grpc/grpc-js";
import { AshlarError } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { type AgentClient, isPermanent } from "../agent-client.js";
import type { ApplicationGrpc } from "../application-grpc.js";
import { type ClientArguments, clientArguments } from "../client-arguments.js";
import { DirectChannel } from "./direct-channel.js";
import { DirectIdentity } from "./direct-identity.js";
import { type DirectGrpc, DirectRoute, type DirectStatus } from "./direct-route.js";

export interface DirectOptions {
  /** Called when reads begin to go directly, and when they go through the local proxy again, with the reason. */
  readonly onStatus?: (status: DirectStatus) => void;
}

export interface DirectReadsDeps {
  readonly agent: Pick<AgentClient, "followDirect" | "issueDirect">;
  readonly clock: Clock;
  readonly grpc: ApplicationGrpc;
  readonly outbound: string;
  /** Aborts when the application leaves the mesh. */
  readonly left: AbortSignal;
}

const retry = { msMin: 100, msMax: 5000 };
/** A proxy that answers that it cannot may be of another version the next time. */
const askAgainMs = 60_000;
/** Each takes a stream of the connection to the agent, which takes 32, and the registration needs one as well. */
export const directServicesMax = 24;

export class DirectReads {
  readonly #deps: DirectReadsDeps;
  readonly #identity: DirectIdentity;
  readonly #routes = new Map<string, { readonly route: DirectRoute; readonly listeners: Set<DirectListener> }>();

  constructor(deps: DirectReadsDeps) {
    this.#deps = deps;
    const issue = (csr: Buffer) => deps.agent.issueDirect(csr);
    this.#identity = new DirectIdentity({ clock: deps.clock, random: Math.random, issue, signal: deps.left });
  }

  /** See `Mesh.direct`. */
  client(service: string, { onStatus }: DirectOptions): ClientArguments {
    const { grpc, outbound } = this.#deps;
    const [address, credentials, options] = clientArguments(grpc, outbound, service);
    const made = directGrpcOf(grpc);
    const route = this.#routeOf(service.split(".")[0] ?? service, made, onStatus);
    const proxied = new made.Channel(address, credentials, options);
    const channelOverride = new DirectChannel(proxied, route) as unknown as Channel;
    return [address, credentials, { ...options, channelOverride } satisfies ClientOptions];
  }

  #routeOf(service: string, grpc: DirectGrpc, onStatus: DirectListener | undefined): DirectRoute {
    let known = this.#routes.get(service);
    if (onStatus !== undefined) known?.listeners.add(onStatus);
    if (known === undefined) {
      const listeners = new Set(onStatus === undefined ? [] : [onStatus]);
      const say: DirectListener = (told) => {
        for (const listener of listeners) listener(told);
      };
      known = { route: new DirectRoute(grpc, service, this.#identity, say), listeners };
      const isOneMore = this.#routes.size >= directServicesMax;
      this.#routes.set(service, known);
      if (isOneMore) known.route.refused(`at most ${directServicesMax} services are read from directly`);
      else void this.#follow(service, known.route);
    }
    return known.route;
  }

  /** Hears of the agent until the application leaves. What was heard stays while the agent is away. */
  async #follow(service: string, route: DirectRoute): Promise<void> {
    const { agent, clock, left } = this.#deps;
    const backoff = new Backoff(retry, Math.random);
    const isWanted = (): boolean => [...this.#routes.values()].some((one) => one.route.isOpen);
    while (!left.aborted) {
      const call = agent.followDirect(service);
      let waitMs: number | undefined;
      call.on("error", () => {}); // the loop below hears of it, unless it has ended before
      const off = onAbort(left, () => call.cancel());
      try {
        for await (const where of call) {
          backoff.reset();
          route.hear(where);
          if (route.isOpen) this.#identity.want(isWanted);
        }
      } catch (error) {
        const { code, details } = error as ServiceError;
        if (code !== undefined && isPermanent(error as ServiceError)) {
          route.refused(code === status.UNIMPLEMENTED ? "this proxy is of a version without direct reads" : details);
          waitMs = askAgainMs;
        }
      } finally {
        off();
        call.cancel();
      }
      await clock.sleep(waitMs ?? backoff.nextMs(), left);
    }
    route.close();
  }
}

type DirectListener = (status: DirectStatus) => void;

function directGrpcOf(grpc: ApplicationGrpc): DirectGrpc {
  if (grpc.Channel !== undefined && "createSsl" in grpc.credentials) return grpc as unknown as DirectGrpc;
  throw new AshlarError("invalid_argument", "direct reads need the whole of @grpc/grpc-js: join({ service, grpc })");
}

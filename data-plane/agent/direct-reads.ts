/** Tells the application where its reads of other services may go without this proxy, and gets it a certificate for that. */
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel, workloadId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { stableFractionOf } from "../../core/route/stable-hash.js";
import { FollowDirectResponse } from "../../proto/gen/ashlar/v1/agent.js";
import type { Clock } from "../../runtime/clock.js";
import type { CallPolicy, FollowedEndpoints, TrustView } from "../ports.js";

export interface DirectReadsDeps {
  readonly policy: Pick<CallPolicy, "current" | "onSwitch" | "useService">;
  readonly endpoints: FollowedEndpoints;
  readonly trust: Pick<TrustView, "rootsPem" | "onChange">;
  readonly identity: { readonly current: { readonly mesh: string; readonly proxyId: string } };
  readonly clock: Clock;
  /** Asks a control plane for a certificate for the application's key; DER, leaf first. */
  readonly issue: (csr: Uint8Array) => Promise<readonly Uint8Array[]>;
}

/** Returns the direct reads of the application beside the proxy that has these parts. */
export function createDirectReads({
  sync,
  identity,
  ...parts
}: Omit<DirectReadsDeps, "trust" | "issue"> & {
  readonly sync: Pick<DirectReadsDeps, "trust">;
  readonly identity: DirectReadsDeps["identity"] & { issueReader: DirectReadsDeps["issue"] };
}): DirectReads {
  return new DirectReads({ ...parts, identity, trust: sync.trust, issue: (csr) => identity.issueReader(csr) });
}

/** An application connects to each of them, and to no more. */
const endpointsMax = 16;
const followedMax = 256;
const issuingMax = 8;
/** The service stays in the prepare set while it is followed. */
const noteUseMs = 3_600_000;

export class DirectReads {
  readonly #deps: DirectReadsDeps;
  #followed = 0;
  #issuing = 0;

  constructor(deps: DirectReadsDeps) {
    this.#deps = deps;
  }

  /** Fails with what the control plane says, and with `limit`. */
  async issue(csr: Uint8Array): Promise<readonly Uint8Array[]> {
    if (this.#issuing >= issuingMax) throw new AshlarError("limit", `${issuingMax} certificates are being asked for`);
    this.#issuing += 1;
    try {
      return await this.#deps.issue(csr);
    } finally {
      this.#issuing -= 1;
    }
  }

  /** Yields where reads of `service` go, at once and whenever that changes. Fails with `invalid_argument` and `limit`. */
  async *follow(service: string, signal: AbortSignal): AsyncGenerator<FollowDirectResponse> {
    if (!isLabel(service)) throw new AshlarError("invalid_argument", `not a service: ${service.slice(0, 64)}`);
    if (this.#followed >= followedMax) throw new AshlarError("limit", `at most ${followedMax} services are followed`);
    const { policy, endpoints, trust, clock } = this.#deps;
    let turn = new AbortController();
    const changed = (): void => turn.abort();
    const offs = [
      policy.onSwitch(changed),
      trust.onChange(changed),
      endpoints.onChange((name) => name === service && changed()),
    ];
    this.#followed += 1;
    let told = "";
    try {
      while (!signal.aborted) {
        turn = new AbortController();
        const now = await this.#where(service);
        const text = JSON.stringify(now);
        if (text !== told) yield now;
        told = text;
        await clock.sleep(noteUseMs, AbortSignal.any([signal, turn.signal]));
      }
    } finally {
      this.#followed -= 1;
      for (const off of offs) off();
    }
  }

  async #where(service: string): Promise<FollowDirectResponse> {
    const { policy, endpoints, trust, identity } = this.#deps;
    const { mesh, proxyId } = identity.current;
    const not = (whyNot: string) => FollowDirectResponse.fromPartial({ whyNot });
    if (policy.current === undefined) return not("this proxy has no revision");
    try {
      if (!(await policy.useService(service))) return not(`this mesh has no service ${service}`);
      await endpoints.ready(service);
    } catch (error) {
      return not(`${service}: ${messageOf(error)}`);
    }
    const plan = policy.current.unit(service)?.journal?.direct;
    if (plan === undefined) return not(`no Journal of ${service} has reads: direct`);
    const there = endpoints.endpoints(service).filter((one) => takesCalls(one) && plan.takesCalls(one));
    if (there.length === 0) return not(`no instance of ${service} takes calls`);
    return FollowDirectResponse.fromPartial({
      freeMethods: [...plan.freeMethods],
      writes: [...plan.writes],
      endpoints: choose(there, proxyId).map(({ address, proxyId: id, version, labels }) => ({
        ...{ address, proxyId: id, version },
        labels: labels.map(({ key, value }) => ({ key, value })),
      })),
      spiffeId: workloadId(mesh, service),
      roots: [...trust.rootsPem],
    });
  }
}

const takesCalls = ({ gone, unhealthy }: Endpoint): boolean => !gone && unhealthy === undefined;

/**
 * Returns as many endpoints as an application connects to. Each proxy chooses others, and the same ones as long as
 * they are there.
 */
function choose(there: readonly Endpoint[], proxyId: string): readonly Endpoint[] {
  const drawn = there.map((endpoint) => ({ endpoint, draw: stableFractionOf(proxyId, endpoint.proxyId, "direct") }));
  return drawn
    .sort((a, b) => a.draw - b.draw)
    .slice(0, endpointsMax)
    .map(({ endpoint }) => endpoint);
}

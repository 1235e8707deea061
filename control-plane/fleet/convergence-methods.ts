/** The admin API's method about the convergence of the fleet. */
import { epochThatRuns, revisionFor } from "../../core/rollout/cohort.js";
import type { AdminServiceService, ProxyConvergence as ConvergenceMessage } from "../../proto/gen/ashlar/v1/admin.js";
import type { Clock } from "../../runtime/clock.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { PolicyReader } from "../publish/policy-reader.js";
import type { Ledger } from "../store/ledger.js";
import { type ConvergenceTarget, hasConverged, judgeConvergence, type ProxyConvergence } from "./convergence.js";
import type { ExpectedProxies } from "./expected-proxies.js";
import type { FleetView } from "./fleet-loop.js";

export interface ConvergenceDeps extends OperatedDeps {
  readonly ledger: Pick<Ledger, "activations">;
  readonly policy: Pick<PolicyReader, "find">;
  readonly fleet: Pick<FleetView, "list">;
  readonly expected: Pick<ExpectedProxies, "missing">;
  readonly clock: Clock;
}

type ConvergenceMethods = Pick<Implementation<typeof AdminServiceService>, "getConvergence">;

export function convergenceMethods(deps: ConvergenceDeps): ConvergenceMethods {
  const { ledger, policy, fleet, expected, clock } = deps;
  return {
    getConvergence: operatedBy(deps)(({ revision }) => {
      const { body, digest } = policy.find(revision);
      const head = ledger.activations.head()?.body;
      const nowMs = clock.nowMs();
      const target = { number: body.number, digest, head };
      const proxies = judgeConvergence(fleet.list(), expected.missing(nowMs), target, nowMs);
      return {
        revision: body.number,
        digest,
        epoch: epochThatRuns(head, digest),
        converged: proxies.every(hasConverged),
        proxies: proxies.map((proxy) => renderConvergence(proxy, target)),
      };
    }),
  };
}

function renderConvergence({ heartbeat, ...proxy }: ProxyConvergence, { head }: ConvergenceTarget): ConvergenceMessage {
  const desired = head && revisionFor(head, proxy.id);
  return {
    ...proxy,
    desiredEpoch: head?.epoch ?? 0,
    desiredRevision: desired?.number ?? 0,
    desiredDigest: desired?.digest ?? "",
    receivedEpoch: heartbeat?.seenEpoch ?? 0,
    receivedActivation: heartbeat?.seenActivation ?? "",
    evaluatingEpoch: heartbeat?.evaluatingEpoch ?? 0,
    evaluatingRevision: heartbeat?.evaluatingRevision ?? 0,
    evaluatingDigest: heartbeat?.evaluatingDigest ?? "",
    lagMs: heartbeat?.lagMs ?? 0,
  };
}

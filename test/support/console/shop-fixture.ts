/** The fake mesh for the tests of the console's pages. */

import * as mesh from "./fixture-mesh.js";
import { diff, everything, policyJson, policyYaml } from "./fixture-policy.js";
import { auditChain, auditEntries, framed, journalEntries } from "./fixture-records.js";
import type { Fixture } from "./fixture-server.js";
import { refusals, traffic } from "./fixture-traffic.js";

export interface ShopOptions {
  readonly services?: number;
  readonly rollout?: boolean;
  readonly rights?: readonly string[];
}

export function shopFixture({ services = 5, rollout = true, rights = ["look", "change"] }: ShopOptions = {}): Fixture {
  let turn = 1;
  policyJson(services);
  const options: mesh.FixtureOptions = { services, rollout, nowMs: Date.now() };
  return {
    session: {
      operator: "spiffe://shop.example/operator/ada",
      rights,
      mesh: "shop.example",
      expires: options.nowMs + 3_600_000,
    },
    unary: {
      GetStatus: () => mesh.status(options),
      ListProxies: () => ({ proxies: mesh.proxies(options) }),
      GetConvergence: () => mesh.convergence(options),
      ListServices: () => mesh.services(options),
      ListSigningKeys: () => mesh.signingKeys,
      ListControlPlanes: () => mesh.controlPlanes,
      ListRevisions: () => mesh.revisions(options),
      ListRollouts: () => ({ rollouts: rollout ? [mesh.rollout(options)] : [] }),
      GetRevision: ({ number, asJson }) => ({
        revision: { number: number ?? mesh.inForce(options) },
        yaml: asJson ? "" : policyYaml(services),
        json: asJson ? policyJson(services) : "",
      }),
      DiffRevisions: ({ from }) => (from !== undefined && "files" in Object(from) ? everything(services) : diff),
      CheckAccess: ({ service, method, revision }) => ({
        allowed: method !== "shop.Payments/Refund",
        rule: method !== "shop.Payments/Refund" ? `${service}-callers/allow[0]` : "default-deny",
        revision: revision || mesh.inForce(options),
        epoch: 12,
        reason: "The first rule that names the caller and the method decides.",
        limits: [{ name: "refunds/limits[0]", rate: "5/m", burst: 5, cost: 1, per: ["caller"], scope: "mesh" }],
      }),
      ListAccess: () => ({
        revision: mesh.inForce(options),
        epoch: 12,
        callers: [
          { caller: "checkout", access: "allowed", rule: "payments-callers/allow[0]" },
          {
            caller: "ledger",
            access: "conditional",
            rule: "payments-callers/allow[1]",
            condition: 'claims.team == "money"',
          },
          { caller: "*", access: "denied", rule: "default-deny" },
        ],
      }),
      ListAudit: () => ({ entries: auditEntries(options.nowMs), chainHolds: true }),
      ExportAudit: () => ({ entries: auditChain(options.nowMs), position: 9, complete: true }),
      ListJournal: () => ({ entries: journalEntries(options.nowMs) }),
      GetJournalEntry: () => ({ request: framed("ledger-7 +12.50 EUR"), response: framed("ok") }),
      ResolveJournalEntry: () => ({ sequence: 44 }),
      GetDecision: () => ({ service: "payments", proxyId: "7d5f1", decision: refusals(options.nowMs).decisions[0] }),
      ActivateRevision: () => ({ activation: mesh.activations(options).at(-1), created: true, tookMs: 31 }),
      Rollback: () => ({ activation: mesh.activations(options).at(-1), tookMs: 12 }),
      GetRollout: () => ({ rollout: mesh.rollout(options) }),
    },
    streams: {
      WatchTraffic: { first: () => [traffic(services, 0)], next: () => traffic(services, turn++), everyMs: 1000 },
      TapCalls: {
        first: () => [],
        next: () => ({
          calls: [
            {
              timeMs: Date.now(),
              code: 7,
              method: "shop.Payments/Refund",
              tookMs: 0.4,
              decision: "0190aabbccddeeff00112233",
            },
          ],
        }),
        everyMs: 500,
      },
      ListDecisions: { first: () => [{ batch: refusals(options.nowMs) }] },
      WatchActivations: {
        first: ({ fromEpoch }) =>
          mesh
            .activations(options)
            .filter((activation) => Number(activation.epoch) >= Number(fromEpoch ?? 12))
            .map((activation) => ({ activation })),
        everyMs: 1000,
      },
    },
  };
}

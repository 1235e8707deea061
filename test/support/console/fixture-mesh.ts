/** A fake mesh as the console sees it: answers of the admin API as proto3 JSON, for any number of services. */

export interface FixtureOptions {
  readonly services: number;
  readonly nowMs: number;
  /** Whether a rollout is running. */
  readonly rollout: boolean;
}

type Json = Readonly<Record<string, unknown>>;

const shop = ["checkout", "payments", "inventory", "ledger", "shopfront"];
const minute = 60_000;

/** Returns 64 hexadecimal digits that depend only on the text. */
export function digestOf(text: string): string {
  let hash = 2166136261;
  let digits = "";
  while (digits.length < 64) {
    for (const char of `${text}${digits.length}`) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619);
    digits += (hash >>> 0).toString(16).padStart(8, "0");
  }
  return digits;
}

export const serviceNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => shop[index] ?? `service-${index}`);

const operator = (name: string): string => `spiffe://shop.example/operator/${name}`;

const candidate = 7;

/** The active revision: while a rollout runs, its base. */
export const inForce = ({ rollout }: Pick<FixtureOptions, "rollout">): number => (rollout ? candidate - 1 : candidate);

/** The services whose second proxy is in the cohort of the rollout. */
const members = ["checkout", "inventory", "ledger"];

/** Returns the proxies, two for each service. The last one of payments is behind. */
export function proxies({ services, nowMs, rollout }: FixtureOptions): readonly Json[] {
  return serviceNames(services).flatMap((service) =>
    [0, 1].map((index) => {
      const late = service === "payments" && index === 1;
      const isMember = index === 1 && members.includes(service);
      const revision = late ? candidate - 1 : isMember ? candidate : inForce({ rollout });
      return {
        id: `${digestOf(service).slice(0, 12)}${index}`,
        service,
        version: index === 1 && ["payments", "inventory"].includes(service) ? "v2" : "v1",
        epoch: late ? 11 : 12,
        revision,
        digest: digestOf(`revision ${revision}`),
        seenEpoch: 12,
        lagMs: 6 + ((service.length * 7 + index * 5) % 31),
        certificateExpiresMs: nowMs + (late ? 52 : 22 * 60 + index * 40) * minute,
        live: true,
        active: !late,
        prepared: late ? [5, 6] : [5, 6, 7],
        rejectedReason: late ? "unit payments: field 14 is not known to this version of the proxy" : "",
        rejectedRevision: late ? 7 : 0,
        bypassable: service === "ledger" ? ["app tcp 127.0.0.1:8080"] : [],
        lastSeenMs: nowMs - 900 - index * 400,
        serving: true,
        workers: service === "payments" ? 4 : 0,
        workersServing: service === "payments" ? 4 - index : 0,
        freshnessAgeMs: 1400,
        clockAheadMs: String(index * 3 - 2),
      };
    }),
  );
}

export function convergence(options: FixtureOptions): Json {
  return {
    revision: inForce(options),
    digest: digestOf(`revision ${inForce(options)}`),
    epoch: 12,
    proxies: proxies(options).map((proxy) => ({
      id: proxy.id,
      service: proxy.service,
      version: proxy.version,
      state: proxy.active === true ? "converged" : "rejected",
      reason:
        proxy.active === true
          ? ""
          : "It rejected revision 7: unit payments: field 14 is not known to this version of the proxy. Update the proxy.",
      desiredEpoch: 12,
      desiredRevision: proxy.active === true ? proxy.revision : candidate,
      evaluatingEpoch: proxy.epoch,
      evaluatingRevision: proxy.revision,
      live: true,
    })),
  };
}

export function services(options: FixtureOptions): Json {
  const all = proxies(options);
  return {
    services: serviceNames(options.services).map((name, place) => ({
      name,
      inPolicy: true,
      endpoints: all
        .filter((proxy) => proxy.service === name)
        .map((proxy, index) => ({
          instance: `${name}-${index + 1}`,
          version: proxy.version,
          address: `10.4.${place % 250}.${index + 1}:7443`,
          healthy: !(name === "ledger" && index === 1),
          proxyId: proxy.id,
          why: name === "ledger" && index === 1 ? "health check failed 3 times: deadline of 1 s passed" : "",
        })),
    })),
  };
}

export function status(options: FixtureOptions): Json {
  const total = options.services * 2;
  const problem = "proxy 7d5f of payments rejected revision 7: field 14 is not known to this version of the proxy";
  return {
    mesh: "shop.example",
    epoch: 12,
    revision: inForce(options),
    headRevision: 8,
    total,
    prepared: total - 1,
    active: total - 1,
    behind: 1,
    rejected: 1,
    healthy: false,
    problems: [problem],
    problemDetails: [{ code: "proxy-rejecting", message: problem, subject: "7d5f" }],
    trustSequence: 3,
    ...(options.rollout && { rollout: rollout(options) }),
  };
}

export function rollout({ nowMs }: FixtureOptions): Json {
  return {
    number: 2,
    digest: digestOf("rollout 2"),
    state: "running",
    candidate,
    base: 6,
    stages: ["1", "25%:2m", "label:canary=true", "100%"],
    stage: 2,
    stageSinceMs: nowMs - 48_000,
    holdMs: 120_000,
    author: operator("ada"),
    reason: "payments needs the claim, canary first",
    timeMs: nowMs - 4 * minute,
    epochs: [11, 12],
    figures: [
      { gate: "members", outcome: "passes", text: "3 live members evaluate revision 7, at least 1" },
      { gate: "samples", outcome: "holds", text: "214 of 500 calls" },
      { gate: "refused", outcome: "passes", text: "0.9 % of calls refused, 0.7 % under revision 6, at most 1.6 %" },
      { gate: "failed", outcome: "passes", text: "0 % of calls failed, 0 % under revision 6" },
      { gate: "latency", outcome: "passes", text: "p99 at most 25 ms, 25 ms under revision 6, at most 55 ms" },
      { gate: "rejections", outcome: "passes", text: "no proxy rejects revision 7" },
    ],
    waitsFor: ["286 more calls of members", "72 s more of the stage's 2 minutes"],
    members: members.length,
    about: ["checkout may lose shop.Payments/Refund unless its token has the claim team=money"],
  };
}

const messages = [
  "first rules of the shop",
  "checkout may charge",
  "inventory: reserve by checkout only",
  "payments v2: ten percent",
  "limit refunds to 5 a minute for each caller",
  "the ledger journals its writes",
  "refunds need the claim team=money",
  "shopfront may read the inventory <b>now</b>",
];

export function revisions({ nowMs, rollout }: FixtureOptions): Json {
  return {
    revisions: messages
      .map((message, index) => ({
        number: index + 1,
        digest: digestOf(`revision ${index + 1}`),
        parent: index === 0 ? "0".repeat(64) : digestOf(`revision ${index}`),
        snapshot: digestOf(`snapshot ${index + 1}`),
        author: operator(index % 3 === 0 ? "ada" : "grace"),
        message,
        timeMs: nowMs - (messages.length - index) * 47 * minute - (index < 4 ? 26 * 60 * minute : 0),
        active: index + 1 === inForce({ rollout }),
        changedUnits: index % 2 === 0 ? ["payments"] : ["inventory", "checkout"],
        approvals:
          index === 6 ? [{ operator: operator("grace"), reason: "read it twice", timeMs: nowMs - 8 * minute }] : [],
      }))
      .reverse(),
    active: activations({ nowMs }).at(-1),
  };
}

export function activations({ nowMs }: Pick<FixtureOptions, "nowMs">): readonly Json[] {
  const steps: readonly (readonly [revision: number, ago: number, more?: Json])[] = [
    [1, 2000],
    [2, 1900],
    [3, 1850],
    [4, 1700],
    [3, 1690, { rollbackOf: 4, reason: "payments v2 answers UNAVAILABLE" }],
    [4, 1500],
    [5, 120],
    [6, 80, { rollout: 1, stage: 1, base: 5 }],
    [6, 74, { rollout: 1, stage: 2, base: 5 }],
    [6, 66, { forced: true }],
    [7, 4, { rollout: 2, stage: 1, base: 6, reason: "payments needs the claim, canary first" }],
    [7, 1, { rollout: 2, stage: 2, base: 6, reason: "stage 1 held" }],
  ];
  return steps.map(([revision, ago, more], index) => ({
    epoch: index + 1,
    revision,
    revisionDigest: digestOf(`revision ${revision}`),
    digest: digestOf(`epoch ${index + 1}`),
    author: operator(index % 2 === 0 ? "ada" : "grace"),
    reason: "reviewed",
    timeMs: nowMs - ago * minute,
    ...more,
  }));
}

export const controlPlanes = {
  controlPlanes: [
    { name: "first", self: true },
    { name: "second", silent: true, heardAgoMs: 42_000 },
  ],
  natsServers: [
    { address: "10.0.1.1:4222", name: "nats-1", connected: true },
    { address: "10.0.1.2:4222", name: "nats-2" },
    { address: "10.0.1.3:4222", name: "" },
  ],
  natsConnected: true,
};

export const signingKeys = {
  sequence: 3,
  signingKeys: [
    { kid: digestOf("key 1").slice(0, 43), holder: "first", inUse: true, signedActive: true },
    { kid: digestOf("key 2").slice(0, 43), holder: "second" },
  ],
  revocations: 1,
  rootHash: digestOf("root"),
};

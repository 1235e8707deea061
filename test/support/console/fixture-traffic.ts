/** The fake mesh's calls: who calls whom, how often, and what was refused. */
import { digestOf, serviceNames } from "./fixture-mesh.js";

type Json = Readonly<Record<string, unknown>>;

export interface Call {
  readonly from: string;
  readonly to: string;
  readonly method: string;
}

const shopCalls: readonly Call[] = [
  { from: "gateway/storefront", to: "shopfront", method: "shop.Front/Browse" },
  { from: "gateway/storefront", to: "checkout", method: "shop.Checkout/Buy" },
  { from: "shopfront", to: "inventory", method: "shop.Inventory/List" },
  { from: "checkout", to: "payments", method: "shop.Payments/Charge" },
  { from: "checkout", to: "payments", method: "shop.Payments/Refund" },
  { from: "checkout", to: "inventory", method: "shop.Inventory/Reserve" },
  { from: "payments", to: "ledger", method: "shop.Ledger/Append" },
  { from: "payments", to: "card-provider", method: "cards.v1.Cards/Charge" },
];

/** Returns the calls that policy allows: those of the shop, and three for each further service. */
export function allowedCalls(services: number): readonly Call[] {
  const names = serviceNames(services);
  // A tree with some shortcuts, as most meshes are.
  const more = names
    .slice(5)
    .flatMap((from, place) =>
      [place * 3 + 12, place * 3 + 13, place * 2 + 30]
        .filter((to) => to < names.length)
        .map((to) => ({ from, to: names[to] ?? "payments", method: "shop.More/Do" })),
    );
  return [...shopCalls, ...more];
}

/** Returns counts of the last ten seconds, a little different in each turn. */
export function traffic(services: number, turn: number): Json {
  const pairs = allowedCalls(services)
    .filter((_, index) => index < shopCalls.length || index % 3 !== 0)
    .flatMap((call, index) => pairsOf(call, 40 + ((index * 37 + turn * 11) % 160)));
  const refused = {
    caller: "shopfront",
    service: "payments",
    method: "shop.Payments/Refund",
    calls: 14,
    refused: 14,
    p50Ms: 0.4,
    p99Ms: 1,
  };
  return {
    timeMs: Date.now(),
    windowMs: 10_000,
    pairs: [...pairs, refused],
    proxies: services * 2,
    answering: services * 2,
  };
}

function pairsOf({ from, to, method }: Call, calls: number): readonly Json[] {
  const pair = (version: string, share: number): Json => ({
    caller: from,
    service: to,
    method,
    version,
    calls: Math.round(calls * share),
    failed: to === "ledger" ? Math.round(calls * 0.06) : 0,
    p50Ms: 1.2 + (to.length % 5),
    p99Ms: 8 + ((to.length * 7) % 40),
  });
  return to === "payments" ? [pair("v1", 0.9), pair("v2", 0.1)] : [pair("v1", 1)];
}

const mesh = "spiffe://shop.example";

/** Returns recorded refusals: some one by one, the others counted. */
export function refusals(nowMs: number): Json & { readonly decisions: readonly Json[] } {
  return {
    service: "payments",
    proxyId: digestOf("payments").slice(0, 13),
    share: 0.01,
    decisions: [0, 1, 2].map((index) => ({
      id: Buffer.from(digestOf(`decision ${index}`).slice(0, 24), "hex").toString("base64"),
      direction: "DIRECTION_INBOUND",
      service: "payments",
      caller: `${mesh}/service/shopfront`,
      method: "shop.Payments/Refund",
      verdict: "VERDICT_DENIED",
      rule: "default-deny",
      revision: 7,
      epoch: 12,
      timeMs: nowMs - 12_000 - index * 41_000,
      headers: [{ name: "x-user", state: "RECORDED_STATE_WHOLE", value: "<script>alert(1)</script>" }],
    })),
    counted: [
      {
        caller: `${mesh}/service/shopfront`,
        method: "shop.Payments/Refund",
        rule: "default-deny",
        verdict: "VERDICT_DENIED",
        revision: 7,
        count: 118,
        fromMs: nowMs - 600_000,
        untilMs: nowMs - 60_000,
      },
    ],
  };
}

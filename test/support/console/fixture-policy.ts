/** The fake mesh's policy, and the difference between two of its revisions. */

import { parseAllDocuments } from "yaml";
import { serviceNames } from "./fixture-mesh.js";
import { allowedCalls } from "./fixture-traffic.js";

const shopYaml = `kind: Service
name: payments
methods: [shop.Payments/Charge, shop.Payments/Refund]
---
kind: Service
name: inventory
methods: [shop.Inventory/Reserve, shop.Inventory/List]
---
kind: Service
name: checkout
---
kind: Service
name: ledger
---
kind: Service
name: shopfront
---
kind: Egress
name: card-provider
methods: [cards.v1.Cards/Charge]
---
kind: Authorization
name: payments-callers
service: payments
allow:
  - from: [checkout]
    methods: [shop.Payments/Charge]
  - from: [checkout]
    methods: [shop.Payments/Refund]
    when: claims.team == "money"
---
kind: Route
name: payments-split
service: payments
rules:
  - split:
      - { version: v1, weight: 90 }
      - { version: v2, weight: 10 }
---
kind: Gateway
name: storefront
listeners:
  - name: web
    protocols: [connect, grpc-web]
    expose:
      - { service: checkout, methods: ["shop.Checkout/*"] }
    callers: { anyone: true }
`;

/** Returns the policy of the shop and of all further services as YAML. */
export function policyYaml(services: number): string {
  const names = serviceNames(services).slice(5);
  const more = names.map((name) => `---\nkind: Service\nname: ${name}\n`);
  const allowed = allowedCalls(services)
    .filter(({ from, to }) => `${from} ${to}` !== "checkout payments")
    .map(
      ({ from, to, method }, index) =>
        `---\nkind: Authorization\nname: rule-${index}\nservice: ${to}\nallow:\n  - from: [${from}]\n    methods: [${method}]\n`,
    );
  return [shopYaml, ...more, ...allowed].join("");
}

/**
 * Returns the same policy as a control plane gives it in JSON. It is parsed once, because a real control plane need not
 * parse it.
 */
export function policyJson(services: number): string {
  const json =
    read.get(services) ?? JSON.stringify(parseAllDocuments(policyYaml(services)).map((document) => document.toJS()));
  read.set(services, json);
  return json;
}

const read = new Map<number, string>();

export const diff = {
  objects: [
    {
      change: "changed",
      kind: "Authorization",
      name: "payments-callers",
      lines: [
        " kind: Authorization",
        " name: payments-callers",
        " service: payments",
        " allow:",
        "   - from: [checkout]",
        "     methods: [shop.Payments/Charge]",
        "-  - from: [checkout, shopfront]",
        "-    methods: [shop.Payments/Refund]",
        "+  - from: [checkout]",
        "+    methods: [shop.Payments/Refund]",
        '+    when: claims.team == "money"',
      ],
    },
    {
      change: "added",
      kind: "Route",
      name: "payments-split",
      lines: ["+kind: Route", "+name: payments-split", "+rules:"],
    },
  ],
  access: [
    {
      caller: "shopfront",
      service: "payments",
      method: "shop.Payments/Refund",
      change: "loses",
      before: "allowed",
      after: "denied",
    },
    {
      caller: "checkout",
      service: "payments",
      method: "shop.Payments/Refund",
      change: "changes",
      before: "allowed",
      after: 'claims.team == "money"',
    },
    {
      caller: "spiffe://shop.example/operator/<img src=x>",
      service: "ledger",
      method: "shop.Ledger/*",
      change: "gains",
      before: "denied",
      after: "allowed",
    },
  ],
  fromRevision: 6,
  toRevision: 7,
};

/** Returns what the policy allows, as the difference to an empty policy. */
export function everything(services: number): { readonly access: readonly object[] } {
  const access = allowedCalls(services).map(({ from, to, method }) => ({
    caller: from,
    service: to,
    method,
    change: "gains",
    before: "denied",
    after: method === "shop.Payments/Refund" ? 'claims.team == "money"' : "allowed",
  }));
  return { access };
}

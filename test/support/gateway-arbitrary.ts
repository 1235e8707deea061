/** Random gateways with every field that a listener can have, in canonical form. */
import fc from "fast-check";
import type { EdgeCallers, EdgeListener, Gateway } from "../../core/kinds/gateway/gateway.js";
import type { Authorization } from "../../core/model.js";
import { shortName } from "./short-name.js";

const some = <Item>(items: readonly Item[], minLength: number) =>
  fc.uniqueArray(fc.constantFrom(...items), { minLength, maxLength: 3 }).map((all) => [...all].sort());
const rate = fc.record({ tokens: fc.integer({ min: 1, max: 1000 }), periodMs: fc.constantFrom(1000, 60_000) });

const callers: fc.Arbitrary<EdgeCallers> = fc.oneof(
  fc.constant({ anyone: true }),
  fc.constant({ certificate: true }),
  some(["accounts", "staff"], 1).map((token) => ({ token })),
  some(["accounts", "staff"], 1).map((token) => ({ token, certificate: true })),
);

const limits = fc.record(
  {
    connectionsPerAddress: fc.integer({ min: 1, max: 1000 }),
    callsPerAddress: rate,
    callsPerToken: rate,
    handshakesPerAddress: rate,
    messageKib: fc.integer({ min: 1, max: 4096 }),
    kibPerAddress: rate,
    kibPerToken: rate,
    connections: fc.integer({ min: 1, max: 1000 }),
    handshakes: rate,
    headerKib: fc.integer({ min: 1, max: 1024 }),
  },
  { requiredKeys: [] },
);

const listener = (services: readonly string[]): fc.Arbitrary<EdgeListener> =>
  fc.record(
    {
      name: shortName,
      protocols: some(["grpc", "grpc-web", "connect"], 1),
      expose: fc
        .uniqueArray(fc.record({ service: fc.constantFrom(...services), methods: some(["a.A/One", "a.B/*"], 1) }), {
          selector: ({ service }) => service,
          minLength: 1,
          maxLength: 2,
        })
        .map((all) => [...all].sort((a, b) => (a.service < b.service ? -1 : 1))),
      callers,
      cors: fc.record({ maxAgeMs: fc.constantFrom(1000, 3_600_000) }),
      limits,
    },
    { requiredKeys: ["name", "protocols", "expose", "callers"] },
  );

/** Generates a gateway to some of these services. */
export const gateway = (name: string, services: readonly string[]): fc.Arbitrary<Gateway> =>
  fc.record({
    kind: fc.constant("Gateway" as const),
    name: fc.constant(name),
    listeners: fc
      .uniqueArray(listener(services), { selector: (one) => one.name, minLength: 1, maxLength: 2 })
      .map((all) => [...all].sort((a, b) => (a.name < b.name ? -1 : 1))),
  });

/** Generates the same authorization, perhaps with rules about outside clients. */
export function withClients(authorization: Authorization): fc.Arbitrary<Authorization> {
  const clients = some(["spiffe://partner/till", "https://phones.example/7", `sha256:${"0a".repeat(32)}`], 1);
  return fc.option(clients, { nil: undefined }).map((client) => {
    if (client === undefined) return authorization;
    const from = ["gateway/public"];
    return { ...authorization, allow: authorization.allow.map((rule) => ({ ...rule, from, client })) };
  });
}

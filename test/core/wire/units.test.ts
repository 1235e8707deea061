import { describe, expect, test } from "@jest/globals";
import { type Digest, digestOf, zeroDigest } from "../../../core/digest.js";
import type { JwtIssuer } from "../../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { Limit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { unitWith } from "../../../core/kinds/unit.js";
import { meshUnitName, type Unit } from "../../../core/model.js";
import {
  applyChanges,
  changesBetween,
  encodeSnapshotList,
  encodeUnit,
  parseSnapshotList,
  parseUnit,
} from "../../../core/wire/units.js";
import { Unit as UnitMessage } from "../../../proto/gen/ashlar/v1/policy.js";
import { SnapshotList as ListMessage } from "../../../proto/gen/ashlar/v1/records.js";

const unit: Unit = unitWith("payments", {
  service: { kind: "Service", name: "payments", methods: ["p.P/Refund", "p.P/Charge"] },
  authorizations: [
    {
      kind: "Authorization",
      name: "charges",
      service: "payments",
      allow: [{ from: ["checkout", "cart"], methods: ["p.P/*", "*"] }],
      deny: [{ from: [], methods: ["p.P/Refund"] }],
    },
  ],
  routes: [
    {
      kind: "Route",
      name: "payments",
      service: "payments",
      rules: [
        {
          match: {
            methods: ["*"],
            headers: [
              { name: "x-b", value: "1" },
              { name: "x-a", value: "2" },
            ],
          },
          split: [
            { version: "v2", weight: 1 },
            { version: "v1", weight: 0 },
          ],
          timeoutMs: 2000,
        },
      ],
    },
  ],
});

type Message = ReturnType<typeof UnitMessage.decode>;

/** The bytes of the unit after `change`, with their own digest: forged by somebody who knows the form. */
function forged(change: (message: Message) => void): () => Unit {
  const message = UnitMessage.decode(encodeUnit(unit).bytes);
  change(message);
  return () => parseBytes(UnitMessage.encode(message).finish());
}

const ruleOf = (message: Message) => message.authorizations[0]?.allow[0] ?? {};

function parseBytes(bytes: Uint8Array, name = "payments"): Unit {
  return parseUnit(bytes, { name, digest: digestOf(bytes) });
}

const issuer = {
  kind: "JwtIssuer",
  name: "accounts",
  audiences: ["shop", "till"],
  requiredClaims: ["sub"],
  forwardClaims: { to: ["payments"], claims: ["email", "sub"] },
} as const;

describe("issuers of tokens", () => {
  const encoded = (...issuers: readonly JwtIssuer[]) => encodeUnit(unitWith(meshUnitName, { issuers }));

  test("are in the unit of the mesh, in whatever order they came, and come out of its bytes again", () => {
    const other = { ...issuer, name: "b", forwardClaims: undefined };
    const mixed = {
      ...issuer,
      audiences: ["till", "shop"],
      forwardClaims: { to: ["payments"], claims: ["sub", "email"] },
    };
    const { bytes, digest, unit: whole } = encoded(other, mixed);
    expect(encoded(issuer, other).digest).toBe(digest);
    expect(parseUnit(bytes, { name: meshUnitName, digest })).toEqual(whole);
    expect(whole.issuers[0]).toEqual(issuer);
    expect(encoded().bytes).toHaveLength(7); // the name alone: units without issuers are what they were
  });

  test("that the compile step could not rely on are refused", () => {
    const bad: readonly Partial<JwtIssuer>[] = [
      { name: "No Name" },
      { audiences: [] },
      { audiences: ["a b"] },
      { audiences: ["a", "a"] },
      { audiences: Array.from({ length: 17 }, (_, index) => `a${index}`) },
      { requiredClaims: [""] },
      { forwardClaims: { to: ["Bad Name"], claims: ["sub"] } },
      { forwardClaims: { to: ["payments"], claims: [] } },
    ];
    for (const part of bad) expect(() => encoded({ ...issuer, ...part })).toThrow(/unit "@mesh"/);
    expect(() => encoded(issuer, issuer)).toThrow(/twice/);
    expect(() => encodeUnit({ ...unit, issuers: [issuer] })).toThrow(/unit of the mesh/);
  });
});

describe("encodeUnit", () => {
  test("sorts lists, keeps the order of rules, and freezes", () => {
    const { unit: canonical } = encodeUnit(unit);
    expect(canonical.service?.methods).toEqual(["p.P/Charge", "p.P/Refund"]);
    expect(canonical.authorizations[0]?.allow[0]).toEqual({ from: ["cart", "checkout"], methods: ["*", "p.P/*"] });
    expect(canonical.routes[0]?.rules[0]?.split.map(({ version }) => version)).toEqual(["v1", "v2"]);
    expect(canonical.routes[0]?.rules[0]?.match?.headers.map(({ name }) => name)).toEqual(["x-a", "x-b"]);
    expect(Object.isFrozen(canonical.authorizations[0]?.allow[0]?.from)).toBe(true);
  });

  test("has bytes that do not change from one version of the code to the next", () => {
    expect(encodeUnit(unit).digest).toBe("504a0f19a254e748d8494ca0b97b87c050bb12dcfff0fae442f14ad91aedd440");
  });

  test("refuses a unit of more than 512 KiB (I8)", () => {
    const methods = Array.from({ length: 30_000 }, (_, index) => `pack.Service/Method${index}`);
    const service = { kind: "Service" as const, name: "payments", methods };
    expect(() => encodeUnit({ ...unit, service })).toThrow(
      /service payments: its policy takes \d+ bytes, at most 524288/,
    );
  });

  test("takes the unit of the mesh without a service, and no other", () => {
    const empty = unitWith(meshUnitName);
    const { bytes, digest } = encodeUnit(empty);
    expect(parseUnit(bytes, { name: meshUnitName, digest })).toEqual(empty);
    expect(() => encodeUnit(unitWith("payments"))).toThrow(/missing/);
  });
});

describe("parseUnit", () => {
  test("gives back what was encoded", () => {
    const { unit: canonical, bytes } = encodeUnit(unit);
    expect(parseBytes(bytes)).toEqual(canonical);
  });

  test("gives back conditions as they were written, and none where there is none", () => {
    const allow = [
      { from: ["cart"], methods: [], when: 'request.headers["x-a"] == "1"' },
      { from: ["cart"], methods: [] },
    ];
    const authorizations = [{ kind: "Authorization" as const, name: "a", service: "payments", allow, deny: [] }];
    const { bytes } = encodeUnit({ ...unit, authorizations });
    expect(parseBytes(bytes).authorizations[0]?.allow).toStrictEqual(allow);
  });

  test("gives back assertions, and refuses a claim that it does not know (I6)", () => {
    const assertions = [
      { kind: "Assertion", name: "b", service: "payments", claim: "always", from: ["cart"], methods: ["p.P/Charge"] },
      { kind: "Assertion", name: "a", service: "payments", claim: "never", from: ["*"], methods: [] },
    ] as const;
    const { bytes, digest } = encodeUnit({ ...unit, assertions });
    expect(digest).not.toBe(encodeUnit(unit).digest);
    expect(parseBytes(bytes).assertions).toStrictEqual([assertions[1], assertions[0]]);
    for (const claim of [0, 3] as (0 | 1 | 2)[]) {
      const forge = forged(({ assertions: list }) => {
        list.push({ name: "a", service: "payments", claim, from: ["cart"], methods: [] });
      });
      expect(forge).toThrow(/unit payments: .*claim: /);
    }
    for (const from of [[], ["cart", "cart"], ["Cart"]])
      expect(() => encodeUnit({ ...unit, assertions: [{ ...assertions[0], from }] })).toThrow(/unit "payments"/);
  });

  test("refuses bytes with another digest before it reads them (I3)", () => {
    const bytes = new Uint8Array([255, 255]);
    expect(() => parseUnit(bytes, { name: "payments", digest: zeroDigest })).toThrow(/do not have the digest/);
  });

  test("refuses the unit of another service under this name", () => {
    expect(() => parseBytes(encodeUnit(unit).bytes, "checkout")).toThrow(/it is about "payments"/);
  });

  test("refuses fields that it does not know, at any depth (I6)", () => {
    const unknown = { 8002: [new Uint8Array([1, 65])] };
    expect(forged((message) => Object.assign(message, { _unknownFields: unknown }))).toThrow(/unknown field 1000/);
    const deep = forged((message) =>
      Object.assign(message.authorizations[0]?.allow[0] ?? {}, { _unknownFields: unknown }),
    );
    expect(deep).toThrow(/unknown field 1000/);
  });

  test.each<[string, (message: Message) => void]>([
    ["an unsorted list", (message) => message.service?.methods.reverse()],
    ["a list that says something twice", (message) => message.service?.methods.push("p.P/Refund")],
    ["unsorted callers", (message) => message.authorizations[0]?.allow[0]?.from.reverse()],
    ["an allow rule for nobody in particular", (message) => message.authorizations[0]?.allow[0]?.from.splice(0)],
    ["a caller that is no name", (message) => message.authorizations[0]?.allow[0]?.from.splice(0, 1, "Cart!")],
    ["a condition of another type", (message) => Object.assign(ruleOf(message), { when: "caller.id" })],
    ["a condition that does not parse", (message) => Object.assign(ruleOf(message), { when: "caller.id ==" })],
    ["a condition on what nobody knows", (message) => Object.assign(ruleOf(message), { when: "moon.full" })],
    ["a condition with blanks around it", (message) => Object.assign(ruleOf(message), { when: " true" })],
    ["a method that is none", (message) => message.service?.methods.splice(0, 1, "p.P")],
    ["a pattern of another form", (message) => message.authorizations[0]?.deny[0]?.methods.splice(0, 1, "p.*/Refund")],
    [
      "an authorization of another service",
      (message) =>
        message.authorizations.forEach((each) => {
          each.service = "cart";
        }),
    ],
    [
      "an authorization without a name",
      (message) =>
        message.authorizations.forEach((each) => {
          each.name = "";
        }),
    ],
    ["a service of another name", (message) => Object.assign(message.service ?? {}, { name: "cart" })],
    ["no service", (message) => Object.assign(message, { service: undefined })],
    ["two routes", (message) => message.routes.push(...message.routes.map((route) => ({ ...route, name: "q" })))],
    [
      "a split with the sum 0",
      (message) =>
        message.routes[0]?.rules[0]?.split.forEach((each) => {
          each.weight = 0;
        }),
    ],
    ["an unsorted split", (message) => message.routes[0]?.rules[0]?.split.reverse()],
    [
      "a match without conditions",
      (message) =>
        message.routes[0]?.rules.forEach((each) => {
          each.match = { methods: [], headers: [], from: [] };
        }),
    ],
    [
      "a header that cannot be matched",
      (message) => Object.assign(message.routes[0]?.rules[0]?.match?.headers[0] ?? {}, { name: "grpc-a" }),
    ],
    [
      "a timeout of more than a day",
      (message) =>
        message.routes[0]?.rules.forEach((each) => {
          each.timeoutMs = 86_400_001;
        }),
    ],
  ])("refuses %s (I6)", (_, change) => {
    expect(forged(change)).toThrow(/^unit payments: /);
  });

  test("refuses bytes that say the same in another way", () => {
    const { bytes } = encodeUnit(unit);
    const twice = Buffer.concat([bytes, bytes.subarray(0, 10)]); // the name again
    expect(() => parseBytes(twice)).toThrow(/not in canonical form/);
  });

  test("refuses what is cut off and what is too large", () => {
    const { bytes } = encodeUnit(unit);
    expect(() => parseBytes(bytes.subarray(0, bytes.length - 1))).toThrow(/unit payments/);
    expect(() => parseBytes(new Uint8Array(512 * 1024 + 1))).toThrow(/at most 524288/);
  });
});

describe("snapshot lists", () => {
  const ref = (name: string, digit: string) => ({ name, digest: digit.repeat(64) as Digest });

  test("are sorted whatever the order, and come back", () => {
    const list = encodeSnapshotList([ref("b", "1"), ref("a", "2"), ref(meshUnitName, "3")]);
    expect(list.units.map(({ name }) => name)).toEqual([meshUnitName, "a", "b"]);
    expect(parseSnapshotList(list.bytes, list.digest)).toEqual(list);
  });

  test("are refused unsorted, with a name twice, with a bad name or digest", () => {
    const parse = (...units: { name: string; digest: Buffer }[]) => {
      const bytes = ListMessage.encode({ units }).finish();
      return () => parseSnapshotList(bytes, digestOf(bytes));
    };
    const digest = Buffer.alloc(32);
    expect(parse({ name: "b", digest }, { name: "a", digest })).toThrow(/canonical/);
    expect(parse({ name: "a", digest }, { name: "a", digest })).toThrow(/twice/);
    expect(parse({ name: "A", digest })).toThrow(/not the name of a unit/);
    expect(parse({ name: "a", digest: Buffer.alloc(31) })).toThrow(/32 bytes/);
    expect(() => parseSnapshotList(new Uint8Array([1]), zeroDigest)).toThrow(/do not have the digest/);
  });

  test("change by adding, replacing and taking away", () => {
    const before = encodeSnapshotList([ref("a", "1"), ref("b", "1")]);
    const after = encodeSnapshotList([ref("a", "2"), ref("c", "1")]);
    const changes = changesBetween(before, after);
    expect(changes).toEqual([ref("a", "2"), { name: "b", digest: undefined }, ref("c", "1")]);
    expect(applyChanges(before, changes)).toEqual(after);
  });

  test("refuse changes that cannot be meant", () => {
    const list = encodeSnapshotList([ref("a", "1")]);
    expect(() => applyChanges(list, [{ name: "b", digest: undefined }])).toThrow(/was not there/);
    expect(() => applyChanges(list, [ref("b", "1"), ref("b", "2")])).toThrow(/twice/);
  });
});

describe("rate limits", () => {
  const mesh: Limit = {
    per: ["header:x-b", "caller"],
    methods: ["p.P/*", "*"],
    rate: { tokens: 100, periodMs: 60_000 },
    burst: 20,
    costs: [
      { method: "p.P/Refund", cost: 0 },
      { method: "*", cost: 1 },
      { method: "p.P/Charge", cost: 20 },
    ],
    scope: "mesh",
    disconnected: "closed",
  };
  const proxy: Limit = {
    per: [],
    methods: [],
    rate: { tokens: 1, periodMs: 1000 },
    burst: 1,
    costs: [],
    scope: "proxy",
    disconnected: undefined,
  };
  const limited = (...limits: Limit[]): Unit => ({
    ...unit,
    rateLimits: [{ kind: "RateLimit", name: "limits", service: "payments", limits }],
  });

  test("come back as they were, sorted, in their order, without what says nothing", () => {
    const { bytes, digest } = encodeUnit(limited(mesh, proxy));
    const read = parseUnit(bytes, { name: "payments", digest });
    expect(read.rateLimits[0]?.limits).toEqual([
      {
        ...mesh,
        per: ["caller", "header:x-b"],
        methods: ["*", "p.P/*"],
        costs: [
          { method: "p.P/Charge", cost: 20 },
          { method: "p.P/Refund", cost: 0 },
        ],
      },
      proxy,
    ]);
  });

  test("a unit without them has the bytes that it had before they existed", () => {
    const { bytes } = encodeUnit(unit);
    expect(UnitMessage.decode(bytes).rateLimits).toEqual([]);
    const { rateLimits: _none, ...before } = UnitMessage.decode(bytes);
    expect(Buffer.from(UnitMessage.encode({ ...before, rateLimits: [] }).finish()).equals(bytes)).toBe(true);
  });

  test.each<[string, Partial<Limit>]>([
    ["a cost above the burst", { costs: [{ method: "*", cost: 21 }] }],
    ["no rate", { rate: { tokens: 0, periodMs: 1000 } }],
    ["a rate that is too high", { rate: { tokens: 10_000_001, periodMs: 1000 } }],
    ["a period of its own", { rate: { tokens: 1, periodMs: 2000 } }],
    ["no burst", { burst: 0 }],
    ["a header that is not read", { per: ["header:grpc-timeout"] }],
    ["a key that is there twice", { per: ["caller", "caller"] }],
    ["too many parts", { per: ["caller", "method", "claim:a", "claim:b", "claim:c"] }],
    ["a mode where nothing is shared", { scope: "proxy" }],
    ["no mode where something is", { disconnected: undefined }],
  ])("%s is refused", (_what, wrong) => {
    expect(() => encodeUnit(limited({ ...mesh, ...wrong }))).toThrow(/payments/);
  });

  test("at most 32 a service", () => {
    expect(() => encodeUnit(limited(...Array.from({ length: 33 }, () => proxy)))).toThrow("33 limits, at most 32");
  });

  test("I6: a key, scope or mode of a newer version refuses the unit", () => {
    const message = UnitMessage.decode(encodeUnit(limited(mesh)).bytes);
    for (const newer of [{ per: ["caller", "planet"] }, { scope: 3 }, { scope: 0 }, { disconnected: 9 }]) {
      const [first] = message.rateLimits;
      const limits = first?.limits.map((limit) => ({ ...limit, ...newer })) ?? [];
      const bytes = UnitMessage.encode({
        ...message,
        rateLimits: [{ name: "limits", service: "payments", limits: limits as never[] }],
      }).finish();
      expect(() => parseUnit(bytes, { name: "payments", digest: digestOf(bytes) })).toThrow(/rate limit|unit payments/);
    }
  });
});

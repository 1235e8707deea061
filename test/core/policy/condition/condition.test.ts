import { describe, expect, test } from "@jest/globals";
import { buildSpiffeId, type SpiffeId } from "../../../../core/identity.js";
import { checkCondition, parseCondition } from "../../../../core/policy/condition/condition.js";
import type { CallInputs, Subject } from "../../../../core/policy/condition/frame.js";
import { Failure, type Value } from "../../../../core/policy/condition/values.js";

const subject: Subject = {
  caller: buildSpiffeId("demo", "service", "checkout"),
  callerService: "checkout",
  trustDomain: "demo",
  method: "shop.Payments/Charge",
  rpcService: "shop.Payments",
};

function inputsWith(parts: {
  readonly headers?: Readonly<Record<string, string>>;
  readonly claims?: ReadonlyMap<string, Value>;
  readonly now?: string;
  readonly address?: string;
  readonly labels?: Readonly<Record<string, string>>;
}): CallInputs {
  const headers = new Map(Object.entries(parts.headers ?? {}));
  return {
    header: (name) => headers.get(name),
    sourceAddress: parts.address,
    nowMs: Date.parse(parts.now ?? "2026-05-04T10:30:00Z"),
    claims: parts.claims,
    destinationLabels: new Map(Object.entries(parts.labels ?? {})),
  };
}

/** "holds", "fails", or why it cannot be told. */
function ask(text: string, inputs: CallInputs | "none" = inputsWith({})): string {
  const outcome = parseCondition(text).evaluate(subject, inputs === "none" ? undefined : inputs);
  return outcome instanceof Failure ? outcome.reason : outcome ? "holds" : "fails";
}

const problems = (text: string) => checkCondition(text).map(({ offset, message }) => `${offset}: ${message}`);

describe("a condition", () => {
  test("reads the caller, the method, headers, claims, address, labels and time", () => {
    const inputs = inputsWith({
      headers: { "x-region": "eu", "x-many": "a,b" },
      claims: new Map<string, Value>([
        ["scope", "pay read"],
        ["level", 3],
        ["roles", ["clerk", "auditor"]],
        ["address", new Map([["country", "CH"]])],
      ]),
      address: "10.1.2.3",
      labels: { zone: "a" },
    });
    for (const text of [
      'caller.id == "spiffe://demo/service/checkout" && caller.service == "checkout" && caller.trust_domain == "demo"',
      'request.method == "shop.Payments/Charge" && request.service == "shop.Payments"',
      'request.headers["x-region"] == "eu" && request.headers["x-many"] == "a,b"',
      'jwt.claims.scope.contains("pay") && jwt.claims.level >= 3 && jwt.claims["level"] < 3.5',
      '"auditor" in jwt.claims.roles && jwt.claims.roles.exists(role, role.startsWith("clerk"))',
      'jwt.claims.address.country == "CH" && has(jwt.claims.address.country) && !has(jwt.claims.email)',
      'source.address.startsWith("10.") && source.address.matches("^10[.]1[.]")',
      'destination.labels["zone"] == "a" && destination.labels.zone in ["a", "b"]',
      'now > timestamp("2026-05-04T10:00:00Z") && now - timestamp("2026-05-04T10:00:00Z") == duration("30m")',
      'now.getHours() == 10 && now.getHours("+02:00") == 12 && now.getDayOfWeek() == 1',
    ])
      expect([text, ask(text, inputs)]).toEqual([text, "holds"]);
  });

  test("names all that it reads, and nothing else", () => {
    const reads = (text: string) => [...parseCondition(text).reads].sort();
    expect(reads('caller.service == "a" && request.method == "b.C/D"')).toEqual(["caller", "method"]);
    expect(reads('"x-a" in request.headers || has(request.headers.b) || request.headers["c"] == ""')).toEqual([
      "header:b",
      "header:c",
      "header:x-a",
    ]);
    expect(reads('jwt.claims.a == 1 || now == now || source.address == "" || destination.labels.a == ""')).toEqual([
      "claim:a",
      "jwt",
      "labels",
      "source",
      "time",
    ]);
    expect(parseCondition('caller.service == "a"').isStatic).toBe(true);
    expect(parseCondition('"a" in request.headers').isStatic).toBe(false);
  });

  test("fails to evaluate, and says why, where what it reads is not there", () => {
    expect(ask('request.headers["x-a"] == "1"')).toBe('there is no header "x-a"');
    expect(ask('"x-a" in request.headers && request.headers["x-a"] == "1"')).toBe("fails");
    expect(ask('jwt.claims.role == "a"')).toBe('there is no key "role"');
    expect(ask('has(jwt.claims.role) && jwt.claims.role == "a"')).toBe("fails");
    expect(ask('source.address == ""')).toBe("the caller's address is not known");
    expect(ask('request.headers["x-a"] != "1"', "none")).toBe("only the caller and the method are known here");
    expect(ask('caller.service == "checkout"', "none")).toBe("holds");
  });

  test("is decided by one side of && and || even where the other cannot be told", () => {
    expect(ask('request.headers["x-a"] == "1" || true')).toBe("holds");
    expect(ask('request.headers["x-a"] == "1" && false')).toBe("fails");
    expect(ask('request.headers["x-a"] == "1" && true')).toBe('there is no header "x-a"');
  });

  test("does not take a claim of another kind for what it compares it with", () => {
    const claims = new Map<string, Value>([
      ["level", "3"],
      ["admin", "true"],
    ]);
    expect(ask("jwt.claims.level == 3", inputsWith({ claims }))).toBe("fails");
    expect(ask("jwt.claims.level > 2", inputsWith({ claims }))).toBe("no function takes values of these kinds");
    expect(ask("jwt.claims.admin", inputsWith({ claims }))).toBe("the condition comes to neither true nor false");
  });
});

describe("a condition is refused", () => {
  test("with the place of everything that is wrong", () => {
    expect(problems('requst.a == 1 && request.heders["a"] == "b" && caller.service == 1')).toEqual([
      '0: there is no variable "requst"; there are caller, request, jwt, source, destination, client, now; did you mean "request"?',
      '24: request has no field "heders"; it has method, service, headers; did you mean "headers"?',
      "62: == does not take (string, int)",
    ]);
    expect(problems('"é😀" == 1')).toEqual(["6: == does not take (string, int)"]);
  });

  test("if it reads headers by names that are reserved, binary or not written out", () => {
    expect(problems('request.headers["x-bin"] == ""')[0]).toMatch(/binary/);
    expect(problems('request.headers["grpc-timeout"] == ""')[0]).toMatch(/belong to gRPC/);
    expect(problems('request.headers["ashlar-caller"] == ""')[0]).toMatch(/removed/);
    expect(problems('request.headers[":path"] == ""')[0]).toMatch(/pseudo-headers/);
    expect(problems('"X-A" in request.headers')[0]).toMatch(/"x-a"/);
    expect(problems('request.headers[caller.id] == ""')[0]).toMatch(/has to stand here/);
    expect(problems("request.headers.exists(h, h == 'a')")[0]).toMatch(/name the header/);
  });

  test("if a pattern is not RE2's, too large, or not written out", () => {
    expect(problems('caller.id.matches("(?=a)")')[0]).toMatch(/not a pattern that RE2 knows/);
    expect(problems('caller.id.matches("(a)\\\\1")')[0]).toMatch(/not a pattern that RE2 knows/);
    expect(problems('caller.id.matches("((a{30}){30})")')[0]).toMatch(/instructions/);
    expect(problems("caller.id.matches(request.method)")[0]).toMatch(/has to stand here/);
  });

  test("if times and zones in it are none", () => {
    expect(problems('now > timestamp("2026-02-30T00:00:00Z")')[0]).toMatch(/not a time/);
    expect(problems('now - now > duration("1 hour")')[0]).toMatch(/not a duration/);
    expect(problems('now.getHours("Europe/Zurich") > 8')[0]).toMatch(/offset/);
  });

  test("if it is too long, too deep or has too many parts (I8)", () => {
    expect(problems(`caller.id == "${"a".repeat(2048)}"`)[0]).toMatch(/at most 2048/);
    expect(problems(`${"(".repeat(100)}true${")".repeat(100)}`)[0]).toMatch(/deeper than 24/);
    expect(problems(`${"!".repeat(2000)}true`)[0]).toMatch(/more than 200/);
    expect(problems(`1 in [${"1,".repeat(900)}1]`)).toEqual([expect.stringMatching(/more than 400 parts/)]);
    expect(problems("[1].all(a, [1].all(b, [1].all(c, a == b)))")[0]).toMatch(/macros are nested deeper than 2/);
  });

  test("whatever text it is, without throwing", () => {
    for (const text of [
      "",
      " ",
      "\0",
      "\ud800",
      "(",
      ")",
      "a b",
      "'",
      "`",
      "//",
      "true //",
      "x.__proto__",
      "constructor",
    ])
      expect(Array.isArray(checkCondition(text))).toBe(true);
    expect(problems("constructor == 1")[0]).toMatch(/no variable "constructor"/);
    expect(problems("caller.constructor == 1")[0]).toMatch(/no field "constructor"/);
  });
});

describe("the work of a condition is bounded (I8)", () => {
  const long = Array.from({ length: 3000 }, (_, index) => `role-${index}`);
  const many = inputsWith({
    claims: new Map<string, Value>([
      ["roles", long],
      ["text", "x".repeat(20_000)],
    ]),
  });

  test("however many elements a claim has", () => {
    expect(ask('jwt.claims.roles.exists(role, role == "none")', many)).toMatch(/more than 2000 steps/);
    expect(ask('"none" in jwt.claims.roles', many)).toMatch(/more than 2000 steps/);
    expect(ask("jwt.claims.roles.all(a, jwt.claims.roles.all(b, a == b || a != b))", many)).toMatch(/2000 steps/);
  });

  test("however long texts get", () => {
    expect(ask('(jwt.claims.text + jwt.claims.text).contains("y")', many)).toMatch(/longer than 16384/);
    const doubling = `["${"a".repeat(200)}"]${".map(s, s + s)".repeat(20)}.size() == 1`;
    expect(ask(doubling)).toMatch(/longer than 16384|2000 steps/);
    const header = inputsWith({ headers: { "x-a": "a".repeat(20_000) } });
    expect(ask('request.headers["x-a"].matches("a+b")', header)).toMatch(/longer than 16384/);
  });

  test("however lists are nested in each other", () => {
    const nest = `[[1, 2, 3]]${".map(x, [x, x, x, x, x, x, x, x])".repeat(12)}`;
    expect(ask(`${nest} == ${nest}`)).toMatch(/2000 steps/);
  });
});

test("each evaluation begins anew", () => {
  const condition = parseCondition('request.headers["x-a"] == "1"');
  const asked = (value: string) => condition.evaluate(subject, inputsWith({ headers: { "x-a": value } }));
  expect([asked("1"), asked("2"), asked("1")]).toEqual([true, false, true]);
  const other: Subject = { ...subject, caller: "spiffe://demo/service/guest" as SpiffeId };
  const who = parseCondition('caller.id.endsWith("guest")');
  expect([who.evaluate(other, undefined), who.evaluate(subject, undefined)]).toEqual([true, false]);
});

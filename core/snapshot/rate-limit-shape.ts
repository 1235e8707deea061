/** A RateLimit in a policy file. */
import { isSeq } from "yaml";
import type { Limit, LimitKeyPart, MethodCost, RateLimit } from "../limit/limit-model.js";
import type { PolicyObject } from "../model.js";
import {
  costsMax,
  defaultBurst,
  keyPartsMax,
  limitsMax,
  parseRate,
  type Rate,
  ratePattern,
  tokensMax,
  whyNotKeyPart,
} from "./limit-grammar.js";
import { itself, kindOf, label, methodPatterns } from "./name-shapes.js";
import { renderNearest } from "./nearest.js";
import { converted, list, optional, record, required, type Shape, text, wholeNumber } from "./shapes.js";

const keyNames = ["caller", "method", "service", "claim:NAME", "header:NAME"];
const keyPart = text(
  '"caller", "method", "service", "claim:NAME" or "header:NAME"',
  "^(caller|method|service|claim:[A-Za-z0-9_.:/-]{1,128}|header:[a-z0-9_.-]{1,128})$",
  (value) => {
    const why = value === "service" ? undefined : whyNotKeyPart(value);
    return why === "" ? renderNearest(value, keyNames).replace(/^; /, "") : why;
  },
);
const per = list(keyPart, {
  whenEmpty: "leave it out for one budget for the whole service",
  keyOf: itself,
  why: (parts) => (parts.length > keyPartsMax ? `at most ${keyPartsMax} parts make a key` : undefined),
});
const rate: Shape<Rate> = converted(
  text("a rate such as 100/s, 600/m or 10000/h", ratePattern, (value) => {
    if (parseRate(value) !== undefined) return undefined;
    return /^\d+\/[smh]$/.test(value) ? `from 1 to ${tokensMax} in a period` : "";
  }),
  (value) => parseRate(value) ?? { tokens: 1, periodMs: 1000 },
);
const tokens = wholeNumber(1, tokensMax);
const costNumber = wholeNumber(0, tokensMax);
const methodsCost = record<{ methods: readonly string[]; cost: number }>("methods with their cost", {
  methods: required(methodPatterns, [], "The nearest pattern counts: a method, its service, all."),
  cost: required(costNumber, 1, "Tokens that a call takes; 0: it is free."),
});
const costList = list(methodsCost, {
  whenEmpty: "leave it out where every call costs 1",
  why(items) {
    const all = items.flatMap(({ methods }) => methods);
    const twice = all.find((method, index) => all.indexOf(method) !== index);
    if (all.length > costsMax) return `${all.length} methods have a cost, at most ${costsMax}`;
    return twice === undefined ? undefined : `${JSON.stringify(twice)} is there twice`;
  },
});

/** A number for all methods, or a list. */
const cost: Shape<readonly MethodCost[]> = {
  expected: `${costNumber.expected}, or a list of methods with their cost`,
  schema: { anyOf: [costNumber.schema, costList.schema] },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    reading.places.set(field, reading.place(found ?? node, field));
    if (isSeq(found)) {
      const items = costList.read(found, field, reading);
      return items?.flatMap((item) => item.methods.map((method) => ({ method, cost: item.cost })));
    }
    const all = costNumber.read(found, field, reading);
    return all === undefined ? undefined : [{ method: "*", cost: all }];
  },
};

const oneOf = <Name extends string>(names: readonly Name[]): Shape<Name> =>
  converted(
    text(names.map((name) => JSON.stringify(name)).join(" or "), `^(${names.join("|")})$`, (value) =>
      names.some((name) => name === value) ? undefined : renderNearest(value, names).replace(/^; /, ""),
    ),
    (value) => names.find((name) => name === value) as Name, // the text was checked
  );

interface WrittenLimit {
  readonly per: readonly string[];
  readonly methods: readonly string[];
  readonly rate: Rate;
  readonly burst: number | undefined;
  readonly cost: readonly MethodCost[];
  readonly scope: Limit["scope"];
  readonly disconnected: Limit["disconnected"];
}

const written = record<WrittenLimit>("a limit", {
  per: optional(per, [], "Each value of it has a budget of its own; left out: one for the whole service."),
  methods: optional(methodPatterns, [], "Which calls it is about; left out: all."),
  rate: required(rate, { tokens: 1, periodMs: 1000 }, "How many tokens come back, in a second, minute or hour."),
  burst: optional(tokens, undefined, "The most tokens at a time; left out: what comes back in a second."),
  cost: optional(cost, [], "What a call takes; left out: 1."),
  scope: optional(
    oneOf<Limit["scope"]>(["proxy", "mesh"]),
    "proxy",
    "Whether each proxy has a budget, or all of the service share one.",
  ),
  disconnected: optional(
    oneOf(["share", "full", "closed"] as const),
    undefined,
    "For the scope mesh: a proxy that is cut off keeps its share (default), takes the full budget, or refuses.",
  ),
});

const limit: Shape<Limit> = {
  ...written,
  read(node, field, reading) {
    const found = written.read(node, field, reading);
    if (found === undefined) return undefined;
    const { rate, scope, disconnected, cost: costs } = found;
    const place = reading.place(node, field);
    const burst = found.burst ?? defaultBurst(rate, costs);
    for (const one of costs) {
      if (one.cost > burst) {
        const at = reading.places.get(`${field}.cost`) ?? place;
        const message = `${JSON.stringify(one.method)} costs ${one.cost}, more than the burst of ${burst}: it would never pass`;
        reading.report(at, message);
      }
    }
    if (scope === "proxy" && disconnected !== undefined) {
      const message = '"disconnected" is for the scope "mesh": with the scope "proxy" nothing is shared';
      reading.report(reading.places.get(`${field}.disconnected`) ?? place, message);
    }
    return {
      per: found.per.filter((part): part is LimitKeyPart => part !== "service"),
      methods: found.methods,
      ...rate,
      burst,
      costs,
      scope,
      disconnected: scope === "mesh" ? (disconnected ?? "share") : undefined,
    };
  },
};

const shape = record<{ kind: string; name: string; service: string; limits: readonly Limit[] }>("a RateLimit", {
  kind: kindOf("RateLimit"),
  name: required(label, "", "Unique among the rate limits of the mesh; operators see it, callers do not."),
  service: required(label, "", "The service that is called."),
  limits: required(
    list(limit, {
      whenEmpty: "it limits nothing; give it a limit, or leave it out",
      why: (items) => (items.length > limitsMax ? `${items.length} limits, at most ${limitsMax} a service` : undefined),
    }),
    [],
    "A call passes if every limit about it has enough left.",
  ),
});

/** How a RateLimit is written. */
export const rateLimit: Shape<PolicyObject> = {
  ...shape,
  read(node, field, reading) {
    const found = shape.read(node, field, reading);
    if (found === undefined) return undefined;
    const { name, service, limits } = found;
    return { kind: "RateLimit", name, service, limits } satisfies RateLimit;
  },
};

/** Rate limits as messages of a unit. */
import {
  Limit_Disconnected,
  Limit_Scope,
  type Limit as LimitMessage,
  type RateLimit as RateLimitMessage,
} from "../../proto/gen/ashlar/v1/policy.js";
import { AshlarError } from "../errors.js";
import type { Limit, LimitKeyPart, RateLimit } from "../limit/limit-model.js";
import { whyNotKeyPart } from "../snapshot/limit-grammar.js";

const scopes = { proxy: Limit_Scope.SCOPE_PROXY, mesh: Limit_Scope.SCOPE_MESH } as const;
const modes = {
  share: Limit_Disconnected.DISCONNECTED_SHARE,
  full: Limit_Disconnected.DISCONNECTED_FULL,
  closed: Limit_Disconnected.DISCONNECTED_CLOSED,
} as const;

export function messageOfRateLimit({ name, service, limits }: RateLimit): RateLimitMessage {
  return { name, service, limits: limits.map(messageOfLimit) };
}

function messageOfLimit({ per, methods, tokens, periodMs, burst, costs, scope, disconnected }: Limit): LimitMessage {
  return {
    per: [...per],
    methods: [...methods],
    tokens,
    periodMs,
    burst,
    costs: costs.map(({ method, cost }) => ({ method, cost })),
    scope: scopes[scope],
    disconnected: disconnected === undefined ? Limit_Disconnected.DISCONNECTED_UNSPECIFIED : modes[disconnected],
  };
}

/** Fails with `invalid_record` on a key, scope or mode that this version does not know. */
export function rateLimitOfMessage({ name, service, limits }: RateLimitMessage): RateLimit {
  return { kind: "RateLimit", name, service, limits: limits.map((limit) => limitOfMessage(name, limit)) };
}

function limitOfMessage(name: string, message: LimitMessage): Limit {
  const unspecified = message.disconnected === Limit_Disconnected.DISCONNECTED_UNSPECIFIED;
  return {
    per: message.per.map((part) => keyPartOf(name, part)),
    methods: message.methods,
    tokens: message.tokens,
    periodMs: message.periodMs,
    burst: message.burst,
    costs: message.costs.map(({ method, cost }) => ({ method, cost })),
    scope: nameOf(scopes, message.scope) ?? unknown(name, `scope ${message.scope}`),
    disconnected: unspecified
      ? undefined
      : (nameOf(modes, message.disconnected) ?? unknown(name, `disconnected ${message.disconnected}`)),
  };
}

function keyPartOf(name: string, part: string): LimitKeyPart {
  if (whyNotKeyPart(part) !== undefined) unknown(name, `key ${JSON.stringify(part.slice(0, 80))}`);
  return part as LimitKeyPart; // that is what was asked
}

function nameOf<Name extends string>(values: Readonly<Record<Name, number>>, value: number): Name | undefined {
  return (Object.keys(values) as Name[]).find((name) => values[name] === value);
}

function unknown(name: string, what: string): never {
  const which = JSON.stringify(name.slice(0, 64));
  throw new AshlarError("invalid_record", `rate limit ${which}: unknown ${what}; a newer version may know it`);
}

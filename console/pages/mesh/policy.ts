/**
 * The part of a revision's policy that the picture shows: what exists, who may call it by which rule, and where calls
 * go.
 */
export interface AllowRule {
  /** The name that decisions give the rule: "payments-callers/allow[0]". */
  readonly rule: string;
  readonly service: string;
  /** The callers: a service, "gateway/NAME", a SPIFFE ID, or "*". */
  readonly from: readonly string[];
  readonly methods: readonly string[];
  /** The condition in CEL. Empty: there is none. */
  readonly when: string;
}

export interface Split {
  readonly service: string;
  readonly targets: readonly { readonly version: string; readonly share: number }[];
}

export interface Policy {
  readonly services: readonly {
    readonly name: string;
    readonly kind: "service" | "egress";
    readonly methods: readonly string[];
  }[];
  readonly gateways: readonly { readonly name: string; readonly exposes: readonly string[] }[];
  readonly allows: readonly AllowRule[];
  readonly splits: readonly Split[];
}

type Json = Readonly<Record<string, unknown>>;

export const noPolicy: Policy = { services: [], gateways: [], allows: [], splits: [] };

/** Parses a revision's policy from the control plane's JSON. Kinds that the picture does not show are skipped. */
export function parsePolicy(json: string): Policy {
  const parsed: unknown = json === "" ? [] : JSON.parse(json);
  const objects = records(parsed);
  const ofKind = (kind: string): readonly Json[] => objects.filter((object) => object.kind === kind);
  return {
    services: [
      ...ofKind("Service").map((object) => ({ ...named(object), kind: "service" as const })),
      ...ofKind("Egress").map((object) => ({ ...named(object), kind: "egress" as const })),
    ],
    gateways: ofKind("Gateway").map((object) => ({
      name: text(object.name),
      exposes: [
        ...new Set(
          records(object.listeners).flatMap(({ expose }) => records(expose).map((each) => text(each.service))),
        ),
      ],
    })),
    allows: ofKind("Authorization").flatMap((object) =>
      records(object.allow).map((rule, index) => ({
        rule: `${text(object.name)}/allow[${index}]`,
        service: text(object.service),
        from: rule.from === undefined ? ["*"] : texts(rule.from),
        methods: rule.methods === undefined ? ["*"] : texts(rule.methods),
        when: text(rule.when),
      })),
    ),
    splits: ofKind("Route").flatMap(splitOf),
  };
}

/** Returns the split of the last rule, which applies to calls that match no earlier one. */
function splitOf(route: Json): readonly Split[] {
  const rule = records(route.rules).findLast(({ match, split }) => match === undefined && split !== undefined);
  const targets = records(rule?.split).map(({ version, labels, weight }) => ({
    version:
      text(version) ||
      Object.entries(record(labels))
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(","),
    weight: typeof weight === "number" ? weight : 0,
  }));
  const sum = targets.reduce((all, { weight }) => all + weight, 0);
  if (targets.length < 2 || sum <= 0) return [];
  return [
    { service: text(route.service), targets: targets.map(({ version, weight }) => ({ version, share: weight / sum })) },
  ];
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(text) : []);
const record = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const records = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(record) : []);

function named(object: Json): { readonly name: string; readonly methods: readonly string[] } {
  return { name: text(object.name), methods: texts(object.methods) };
}

/** Whether a rule's pattern matches a method: "*", "package.Service/*", or the method itself. */
export function coversMethod(pattern: string, method: string): boolean {
  return pattern === "*" || pattern === method || (pattern.endsWith("/*") && method.startsWith(pattern.slice(0, -1)));
}

/** Returns the rules that allow `caller` to call `service`. */
export function rulesBetween(policy: Policy, caller: string, service: string): readonly AllowRule[] {
  return policy.allows.filter(
    (rule) => rule.service === service && rule.from.some((from) => from === caller || from === "*"),
  );
}

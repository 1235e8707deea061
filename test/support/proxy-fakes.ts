/** Small real implementations of the data plane's ports, which tests set directly. */

import { digestOf } from "../../core/digest.js";
import type { TrustedEgress } from "../../core/egress/trusted-egress.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Journal } from "../../core/kinds/journal/journal.js";
import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { Resilience } from "../../core/kinds/resilience/resilience.js";
import type { Telemetry } from "../../core/kinds/telemetry/telemetry.js";
import { unitWith } from "../../core/kinds/unit.js";
import type { AuthorizationRule, Endpoint, RouteRule } from "../../core/model.js";
import { type CompiledUnit, compileUnit } from "../../core/policy/compile.js";
import { noTelemetry } from "../../core/policy/compiled-telemetry.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import type {
  AppRegistration,
  AppView,
  EndpointView,
  EvaluatedPolicy,
  IdentityView,
  PolicyView,
  ProxyIdentity,
  ShadowPolicy,
  TrustView,
} from "../../data-plane/ports.js";
import type { TestPki } from "./test-pki.js";

export const mesh = "test";

export function issueIdentity(pki: TestPki, service: string, ttlMs?: number): ProxyIdentity {
  const spiffeId = buildSpiffeId(mesh, "service", service);
  const svid = pki.issue(spiffeId, ttlMs);
  return {
    ...svid,
    mesh,
    proxyId: `proxy-${service}`,
    service,
    version: "v1",
    spiffeId,
    natsServers: [],
    natsJwt: "",
    natsSeed: "",
    natsCaPem: "",
    unsignedUntilMs: 0,
  };
}

class Listeners<Value> {
  readonly #all = new Set<(value: Value) => void>();

  add(listener: (value: Value) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  tell(value: Value): void {
    for (const listener of this.#all) listener(value);
  }
}

export class FakeIdentity implements IdentityView {
  current: ProxyIdentity;
  readonly #listeners = new Listeners<ProxyIdentity>();

  constructor(identity: ProxyIdentity) {
    this.current = identity;
  }

  onRotate(listener: (identity: ProxyIdentity) => void): () => void {
    return this.#listeners.add(listener);
  }

  rotate(identity: ProxyIdentity): void {
    this.current = identity;
    this.#listeners.tell(identity);
  }
}

export class FakeTrust implements TrustView {
  sequence = 1;
  rootsPem: readonly string[];
  readonly revoked = new Set<string>();
  issuers: readonly TrustedIssuer[] = [];
  egresses: readonly TrustedEgress[] = [];
  readonly #listeners = new Listeners<void>();

  constructor(rootsPem: readonly string[]) {
    this.rootsPem = rootsPem;
  }

  isRevoked(serial: string): boolean {
    return this.revoked.has(serial);
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  changed(): void {
    this.sequence += 1;
    this.#listeners.tell();
  }
}

export interface TestUnit {
  readonly service: string;
  readonly allow?: readonly AuthorizationRule[];
  readonly deny?: readonly AuthorizationRule[];
  readonly rules?: readonly RouteRule[];
  readonly limits?: readonly Limit[];
  readonly resilience?: Omit<Resilience, "kind" | "name" | "service">;
  readonly telemetry?: Omit<Telemetry, "kind" | "name" | "service">;
  readonly journal?: Omit<Journal, "kind" | "name" | "service">;
  /** The methods that the Service marks as idempotent. */
  readonly idempotent?: readonly string[];
  readonly noSideEffects?: readonly string[];
}

export const everyone: AuthorizationRule = { from: ["*"], methods: ["*"] };

function compileTestUnit(unit: TestUnit): CompiledUnit {
  const {
    service,
    allow = [],
    deny = [],
    rules,
    limits = [],
    resilience,
    telemetry,
    journal,
    idempotent,
    noSideEffects,
  } = unit;
  return compileUnit(
    unitWith(service, {
      service: {
        kind: "Service",
        name: service,
        methods: [],
        ...(idempotent && { idempotent }),
        ...(noSideEffects && { noSideEffects }),
      },
      authorizations: [{ kind: "Authorization", name: "rules", service, allow, deny }],
      rateLimits: limits.length === 0 ? [] : [{ kind: "RateLimit", name: "limits", service, limits }],
      routes: rules === undefined ? [] : [{ kind: "Route", name: service, service, rules }],
      resilience: resilience === undefined ? [] : [{ ...resilience, kind: "Resilience", name: service, service }],
      journals: journal === undefined ? [] : [{ ...journal, kind: "Journal", name: service, service }],
      telemetry: telemetry === undefined ? [] : [{ ...telemetry, kind: "Telemetry", name: service, service }],
    }),
    mesh,
  );
}

export function buildPolicy(
  revision: number,
  units: readonly TestUnit[],
  issuers: readonly JwtIssuer[] = [],
): EvaluatedPolicy {
  const compiled = new Map(units.map((unit) => [unit.service, compileTestUnit(unit)]));
  return {
    epoch: revision,
    revision,
    revisionDigest: digestOf(Buffer.from(String(revision))),
    unit: (service) => compiled.get(service),
    has: (service) => compiled.has(service),
    telemetry: (service) => compiled.get(service)?.telemetry ?? noTelemetry,
    issuers,
  };
}

export class FakePolicy implements PolicyView {
  isStaged = false;
  current: EvaluatedPolicy | undefined;
  shadow: ShadowPolicy | undefined;
  seenEpoch = 0;
  readonly prepared = [];
  readonly rejected = undefined;
  readonly lagMs = 0;
  freshnessAgeMs = 0;
  readonly trustSequence = 1;
  readonly seenActivation = undefined;
  readonly heard: { readonly epoch: number; readonly peer: string }[] = [];
  /** Called when the proxy hears of a higher epoch. */
  onHear: (() => void) | undefined;
  readonly #listeners = new Listeners<EvaluatedPolicy>();

  switchTo(policy: EvaluatedPolicy): void {
    this.current = policy;
    this.seenEpoch = policy.epoch;
    this.#listeners.tell(policy);
  }

  onSwitch(listener: (policy: EvaluatedPolicy) => void): () => void {
    return this.#listeners.add(listener);
  }

  async useService(service: string): Promise<boolean> {
    return this.current?.has(service) ?? false;
  }

  async hearOfEpoch(epoch: number, peer: string): Promise<void> {
    this.heard.push({ epoch, peer });
    this.onHear?.();
  }
}

export class FakeEndpoints implements EndpointView {
  readonly all: Endpoint[] = [];

  add(service: string, address: string, options: { readonly proxyId?: string; readonly version?: string } = {}): void {
    const { proxyId = `${service}-${this.all.length}`, version = "v1" } = options;
    this.all.push({ proxyId, service, instance: proxyId, version, address, labels: [], gone: false, timeMs: 0 });
  }

  endpoints(service: string): readonly Endpoint[] {
    return this.all.filter((endpoint) => endpoint.service === service);
  }

  async ready(): Promise<void> {}
}

export class FakeApp implements AppView {
  current: AppRegistration | undefined;
  readonly refused: AppRegistration[] = [];
  readonly #listeners = new Listeners<AppRegistration | undefined>();

  set(app: AppRegistration | undefined): void {
    this.current = app;
    this.#listeners.tell(app);
  }

  onChange(listener: (app: AppRegistration | undefined) => void): () => void {
    return this.#listeners.add(listener);
  }

  reportRefused(app: AppRegistration): void {
    this.refused.push(app);
  }
}

/** The trust record in force, in the form that TLS needs. */
import type { TrustedEgress } from "../../core/egress/trusted-egress.js";
import type { Signed, Trust } from "../../core/model.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import type { TrustView } from "../ports.js";

interface Compiled {
  readonly record: Signed<Trust> | undefined;
  readonly rootsPem: readonly string[];
  readonly revoked: ReadonlySet<string>;
  readonly issuers: readonly TrustedIssuer[];
  readonly egresses: readonly TrustedEgress[];
}

const nothing: Compiled = { record: undefined, rootsPem: [], revoked: new Set(), issuers: [], egresses: [] };

/** The source of the trust record. */
export interface TrustSource {
  trusting(): Signed<Trust> | undefined;
  /** Calls `listener` when there is a new trust record. Returns a function that removes the listener. */
  onChange(listener: () => void): () => void;
}

/** Returns the roots and revocations of `mesh`. Without a trust record there are no roots, so nobody is trusted. */
export function createTrustView(source: TrustSource, mesh: string): TrustView {
  let compiled = nothing;
  const now = (): Compiled => {
    const record = source.trusting();
    if (record !== undefined && record !== compiled.record) compiled = compile(record, mesh, compiled);
    return compiled;
  };
  return {
    get sequence() {
      return now().record?.body.sequence ?? 0;
    },
    get rootsPem() {
      return now().rootsPem;
    },
    get egresses() {
      return now().egresses;
    },
    get issuers() {
      return now().issuers;
    },
    isRevoked: (serial) => now().revoked.has(serial),
    onChange: (listener) => source.onChange(listener),
  };
}

function compile(record: Signed<Trust>, mesh: string, before: Compiled): Compiled {
  const { issuers, egresses } = record.body;
  const bundle = record.body.bundles.find((one) => one.trustDomain === mesh);
  return {
    record,
    rootsPem: (bundle?.x509Roots ?? []).map(renderPem),
    issuers: sameOr(before.issuers, issuers),
    egresses: sameOr(before.egresses, egresses),
    revoked: new Set(record.body.revocations.map((revocation) => revocation.serial)),
  };
}

function sameOr<Value>(before: Value, now: Value): Value {
  return JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

/** Returns a certificate in PEM (RFC 7468). */
function renderPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

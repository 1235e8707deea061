/** Issues certificates for applications that read directly, through their proxies, which prove themselves as at a renewal. */
import { createHash } from "node:crypto";
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { type IssueReaderRequest, IssueReaderResponse } from "../../proto/gen/ashlar/v1/join.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";
import { parseCsr } from "../../runtime/tls-identity-request.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Authority } from "./authority.js";
import { type HolderDeps, readHolder, refuseRevoked, useNonce } from "./certificate-holder.js";
import type { IssuedCertificates } from "./issued-certificates.js";
import type { Nonces } from "./nonces.js";
import { SourceLimiter } from "./source-limiter.js";

export interface ReaderIssuerDeps extends HolderDeps {
  readonly authority: HolderDeps["authority"] & Pick<Authority, "issueReader">;
  readonly audit: AuditTrail;
  readonly nonces: Nonces;
  /** The limiter of the listener's requests. */
  readonly limiter: SourceLimiter;
  /** Whether the policy in force lets any read go direct. */
  readonly hasDirectReads: () => Promise<boolean>;
  readonly issued: Pick<IssuedCertificates, "find">;
}

/** The certificate of an application lives for an hour, and never longer than its proxy's. */
const readerTtlMs = 3_600_000;
/** A proxy asks for its applications, which may be several and start anew. */
const perProxy = { burst: 60, perSecond: 1 / 15, sourcesMax: 10_000 };
const noteEveryMs = 1_800_000;
const prefix = Buffer.from("ashlar-reader-v1", "ascii");

/**
 * Returns the handler of IssueReader. It fails with `unauthenticated` unless a proxy of a service asks whose certificate is
 * good now, with `denied` while no policy in force lets reads go direct, with `limit`, and with `invalid_argument`.
 */
export function createReaderIssuer(deps: ReaderIssuerDeps, ttlMs: number = readerTtlMs) {
  const trail = seldom(deps);
  const ofProxy = new SourceLimiter(deps.clock, perProxy);

  const issue = async (request: IssueReaderRequest) => {
    useNonce(deps.nonces, request.nonce);
    const signed = Buffer.concat([prefix, request.nonce, createHash("sha256").update(request.csr).digest()]);
    const holder = readHolder(request, signed, deps, 0);
    refuseRevoked(deps, holder);
    const { service, proxyId, serial } = holder;
    if (!isLabel(service))
      throw new AshlarError("denied", `${service} is a gateway, beside which no application of the mesh is`);
    ofProxy.admit(proxyId);
    const { publicKey } = parseCsr(request.csr);
    const { publicKey: proxyKey, notAfterMs } = readCertificate(request.certificate);
    if (Buffer.compare(publicKey, proxyKey) === 0)
      throw new AshlarError("invalid_argument", "the key is the proxy's own: an application makes its own");
    if (!(await deps.hasDirectReads()))
      throw new AshlarError("denied", "no Journal of the policy in force has reads: direct");
    refuseRevoked(deps, holder);
    const leftMs = notAfterMs - deps.clock.nowMs();
    if (leftMs < 1000) throw new AshlarError("unauthenticated", "the proxy's certificate ends now: renew it first");
    const lifeMs = Math.min(ttlMs, leftMs);
    const issued = deps.authority.issueReader({ service, proxyId, parentSerial: serial, publicKey, ttlMs: lifeMs });
    return { ...issued, service, proxyId, parent: serial };
  };

  return async (request: IssueReaderRequest, source: string): Promise<IssueReaderResponse> => {
    deps.limiter.admit(source);
    const caller = { id: "anonymous", source };
    const what = { action: "reader", target: "an application", detail: "", caller } as const;
    const { chainDer } = await audited(
      trail,
      what,
      () => issue(request),
      (issued) => ({
        target: `application of proxy ${issued.proxyId}`,
        detail: `service ${issued.service}, certificate ${issued.serial}, under ${issued.parent}`,
      }),
    );
    return IssueReaderResponse.fromPartial({ certificateChain: chainDer.map((der) => Buffer.from(der)) });
  };
}

/** Passes on refusals, and of what is issued for one proxy an entry in half an hour: the audit log has room for other things. */
function seldom({ audit, clock }: Pick<ReaderIssuerDeps, "audit" | "clock">): AuditTrail {
  const noted = new BoundedMap<string, { readonly atMs: number; more: number }>(perProxy.sourcesMax);
  return {
    record: async (draft) => {
      if (draft.outcome !== "ok") return audit.record(draft);
      const nowMs = clock.monotonicMs();
      const before = noted.get(draft.target);
      if (before !== undefined && nowMs - before.atMs < noteEveryMs) {
        before.more += 1;
        return;
      }
      noted.set(draft.target, { atMs: nowMs, more: 0 });
      const more = (before?.more ?? 0) === 0 ? "" : `, and ${before?.more} more since the entry before`;
      await audit.record({ ...draft, detail: `${draft.detail}${more}` });
    },
  };
}

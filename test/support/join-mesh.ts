/** A control plane's join listener on loopback. Everything behind it is real except NATS. */
import { randomBytes } from "node:crypto";
import { ServerCredentials } from "@grpc/grpc-js";
import type { AuditDraft } from "../../control-plane/audit/audit-trail.js";
import { buildFreshness } from "../../control-plane/freshness/freshness-loop.js";
import { type Authority, openAuthority } from "../../control-plane/identity/authority.js";
import { openIssuedCertificates } from "../../control-plane/identity/issued-certificates.js";
import {
  createJoinService,
  type JoinServiceOptions,
  joinMessageBytesMax,
} from "../../control-plane/identity/join-service.js";
import { type JoinTokens, openJoinTokens } from "../../control-plane/identity/join-tokens.js";
import type { Trust } from "../../core/model.js";
import { signTrust } from "../../core/wire/records.js";
import type { Clock } from "../../runtime/clock.js";
import type { BoundService } from "../../runtime/grpc-handlers.js";
import { type GrpcServer, startGrpcServer } from "../../runtime/grpc-server.js";
import { silentLogger } from "../../runtime/log.js";
import { generatePrivateKeyPem } from "../../runtime/tls-identity-keys.js";
import { buildCsr, parseCsr } from "../../runtime/tls-identity-request.js";
import { PlainLedger } from "./plain-ledger.js";

export interface JoinMesh {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly ledger: PlainLedger;
  readonly audit: AuditDraft[];
  readonly server: GrpcServer;
  readonly service: BoundService;
  /** The content of a join.json. */
  readonly join: { readonly join: string; readonly rootHash: string };
  /** Appends a trust record that changes the last one. */
  changeTrust(change: (trust: Trust) => Partial<Trust>): Promise<void>;
}

export const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));

export async function startJoinMesh(
  dir: string,
  clock: Clock,
  more: JoinServiceOptions & {
    readonly mesh?: string;
    readonly bind?: string;
    readonly certificateOf?: Authority;
    readonly asService?: boolean;
    /** Whether policy lets reads go direct. Default: it does. */
    readonly hasDirectReads?: boolean;
    /** Runs while an identity is being issued. */
    readonly whileIssuing?: () => Promise<void>;
  } = {},
): Promise<JoinMesh> {
  const authority = openAuthority({ dir, mesh: more.mesh ?? "test-mesh", clock, random });
  const { mesh, rootHash } = authority;
  const tokens = openJoinTokens({ dir, mesh, rootHash, clock, random });
  const ledger = new PlainLedger();
  await ledger.trust.append(signTrust(authority.firstTrust(), mesh, authority.rootSigner));
  const audit: AuditDraft[] = [];
  const service = createJoinService(
    {
      takeOffer: async () => [],
      hasDirectReads: async () => more.hasDirectReads ?? true,
      authority,
      tokens,
      ledger,
      clock,
      random,
      issued: openIssuedCertificates({ dir, clock }),
      freshness: () => buildFreshness({ mesh, ledger, signer: authority.signer, clock }).bytes,
      natsUserJwt: async (user, name, proxyId, expiresMs) => {
        await more.whileIssuing?.();
        return `jwt:${user}:${name}:${proxyId}:${expiresMs}`;
      },
      natsServers: () => ["nats://127.0.0.1:4222"],
      natsCaPem: "",
      log: silentLogger,
      audit: { record: async (draft) => void audit.push(draft) },
    },
    more,
  );
  const issuer = more.certificateOf ?? authority;
  const own = more.asService ? issueImpostor(issuer) : issuer.issueControlPlane({ name: "main", hosts: ["127.0.0.1"] });
  const server = await startGrpcServer({
    bind: more.bind ?? "127.0.0.1:0",
    credentials: ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.chainPem) },
    ]),
    services: [service],
    messageBytesMax: joinMessageBytesMax,
    log: silentLogger,
    clock,
  });
  return {
    authority,
    tokens,
    ledger,
    audit,
    server,
    service,
    join: { join: server.address, rootHash },
    changeTrust: async (change) => {
      const head = ledger.trust.head();
      if (head === undefined) throw new Error("no trust");
      const body = { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, ...change(head.body) };
      await ledger.trust.append(signTrust(body, mesh, authority.rootSigner));
    },
  };
}

/** Issues a certificate to a proxy of the mesh that pretends to be a control plane. */
function issueImpostor(authority: Authority): { readonly privateKeyPem: string; readonly chainPem: string } {
  const privateKeyPem = generatePrivateKeyPem();
  const { publicKey } = parseCsr(buildCsr(privateKeyPem));
  const proxy = { service: "payments", version: "v1", proxyId: "payments-impostor" };
  return { privateKeyPem, chainPem: authority.issueService({ ...proxy, publicKey }).chainPem };
}

/** Renders what the operator of a NATS cluster has to add to its accounts before a mesh can use it. */
import { encodeActivation } from "@nats-io/jwt";
import { createAccount, fromPublic } from "@nats-io/nkeys";
import { type AccountLink, meshExports, proxyExports } from "./nats-account-links.js";
import type { NatsAccount, NatsAccounts } from "./nats-accounts.js";
import { allStreams } from "./nats-permissions.js";
import { openPair, signerOf } from "./nats-signer.js";

/** The part of an account's claims that the operator adds. */
export interface AccountSetup {
  readonly account: string;
  readonly exports: readonly (AccountLink & { readonly token_req: true })[];
  /**
   * Imports, each with an activation token of the exporting account: exports are private, so no other account of the
   * cluster can import them.
   */
  readonly imports: readonly (AccountLink & { readonly account: string; readonly token: string })[];
  /** Fields of the claims' `limits`; -1 means unlimited. */
  readonly limits: Readonly<Record<string, number>>;
}

export interface NatsSetup {
  readonly mesh: AccountSetup;
  readonly proxies: AccountSetup;
  /** What JetStream of the mesh's account must be able to store, in each of `replicas`. */
  readonly jetStream: { readonly streams: number; readonly replicas: number; readonly fileBytes: number };
}

const mebibyte = 1024 * 1024;
/**
 * The bytes of the base streams: endpoints, audit log and decisions are bounded by 256, 256 and 512 MiB; 1024 MiB is
 * for logs and units, which have no bound and grow with policy.
 */
const baseBytes = (256 + 256 + 512 + 1024) * mebibyte;
const replicas = 3;
const streamsMore = 1;
/**
 * The most bytes of the data keys of one service: about 600,000 keys, one for each subject that a proxy wrote about
 * since it was started.
 */
export const keysBytesMax = 256 * mebibyte;
/** The bytes of a journal on a cluster, unless `up --journal-bytes` says otherwise. */
export const clusterJournalBytes = 1024 * mebibyte;

/** Creates fresh keys for both accounts. */
export function createNatsAccounts(): NatsAccounts {
  const create = (): NatsAccount => {
    const seed = Buffer.from(createAccount().getSeed()).toString("ascii");
    return { publicKey: openPair(seed).getPublicKey(), seed };
  };
  return { mesh: create(), proxies: create() };
}

/** Builds the setup. `journals`: how many services will have a journal, and the bytes of each. */
export async function buildNatsSetup(
  { mesh, proxies }: NatsAccounts,
  journals: { readonly count: number; readonly bytes: number } = { count: 0, bytes: clusterJournalBytes },
): Promise<NatsSetup> {
  // a journal with private fields has a second stream, for its data keys
  const streams = allStreams.length + streamsMore + 2 * journals.count;
  const fileBytes = baseBytes + journals.count * (journals.bytes + keysBytesMax);
  const jetStream = { mem_storage: 0, disk_storage: fileBytes * replicas, streams, consumer: 0 };
  const none = { mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 };
  return {
    mesh: await setUp(mesh, meshExports, proxies, proxyExports, { ...jetStream, leaf: 0 }),
    proxies: await setUp(proxies, proxyExports, mesh, meshExports, { ...none, leaf: 0 }),
    jetStream: { streams, replicas, fileBytes },
  };
}

async function setUp(
  own: NatsAccount,
  exported: readonly AccountLink[],
  other: NatsAccount,
  imported: readonly AccountLink[],
  limits: Readonly<Record<string, number>>,
): Promise<AccountSetup> {
  return {
    account: own.publicKey,
    exports: exported.map((link) => ({ ...link, token_req: true })),
    imports: await Promise.all(
      imported.map(async (link) => ({ ...link, account: other.publicKey, token: await activate(link, other, own) })),
    ),
    limits,
  };
}

/** Returns the activation token by which the exporter lets the importer import this. */
function activate({ name, subject, type }: AccountLink, exporter: NatsAccount, importer: NatsAccount): Promise<string> {
  const signer = signerOf(exporter.seed);
  const isOwn = signer.getPublicKey() === exporter.publicKey;
  const issuer = isOwn ? signer : fromPublic(exporter.publicKey);
  return encodeActivation(name, fromPublic(importer.publicKey), issuer, type, { subject }, isOwn ? {} : { signer });
}

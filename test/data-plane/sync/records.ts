/** Chains of records for the pure machines: signatures are not their business, digests are. */
import { type Digest, digestOf } from "../../../core/digest.js";
import type { Activation, Revision, Signed, Trust } from "../../../core/model.js";
import { testAuthor } from "../../support/records.js";

export const digest = (text: string): Digest => digestOf(Buffer.from(text));

export function activation(
  epoch: number,
  previous: Signed<Activation> | undefined,
  revision: number,
  note = "",
): Signed<Activation> {
  const body: Activation = {
    epoch,
    previous: previous?.digest,
    revisionNumber: revision,
    revisionDigest: digest(`revision ${revision}`),
    author: testAuthor,
    reason: note,
    rollbackOf: undefined,
    timeMs: 1000,
    forced: false,
    thresholdPercent: 0,
    rollout: undefined,
  };
  const bytes = Buffer.from(`activation ${epoch} ${previous?.digest} ${revision} ${note}`);
  return { body, bytes, digest: digestOf(bytes), kid: "key" };
}

/** Epochs 1 to `length`; epoch N runs the revision that `revisions` names, N by default. */
export function activationChain(length: number, revisions: (epoch: number) => number = (n) => n): Signed<Activation>[] {
  const chain: Signed<Activation>[] = [];
  for (let epoch = 1; epoch <= length; epoch += 1)
    chain.push(activation(epoch, chain[chain.length - 1], revisions(epoch)));
  return chain;
}

export function trust(
  sequence: number,
  previous: Signed<Trust> | undefined,
  note = "",
  revoked: readonly string[] = [],
): Signed<Trust> {
  const body: Trust = {
    sequence,
    previous: previous?.digest,
    bundles: [],
    signingKeys: [],
    revocations: revoked.map((serial) => ({ serial, reason: "lost", timeMs: 1 })),
    timeMs: 1000,
    issuers: [],
    egresses: [],
  };
  const bytes = Buffer.from(`trust ${sequence} ${previous?.digest} ${note}`);
  return { body, bytes, digest: digestOf(bytes), kid: "root" };
}

export function revision(number: number, note = ""): Signed<Revision> {
  const body: Revision = {
    number,
    parent: digest(`parent of ${number}`),
    snapshot: digest(`snapshot ${number}`),
    changes: [],
    author: testAuthor,
    message: note,
    timeMs: 1000,
  };
  return { body, bytes: Buffer.from(note), digest: digest(`revision ${number}${note}`), kid: "key" };
}

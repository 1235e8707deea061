/** Creates the offerer from what this proxy holds and the control planes that it knows. */
import { type Digest, parseDigest } from "../../core/digest.js";
import { type HeldParts, heldMax } from "../../core/wire/offers.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { OpenedIdentity } from "../identity/proxy-identity.js";
import type { Sync } from "../sync/open-sync.js";
import type { StateFolder } from "../sync/state-folder.js";
import { type OfferSource, offerHeld } from "./offer-client.js";
import { Offerer } from "./offerer.js";

export interface StartOffererDeps {
  readonly identity: Pick<OpenedIdentity, "contacts">;
  readonly sync: Pick<Sync, "kept" | "heads" | "onFreshness">;
  /** The folder DATA/state. */
  readonly folder: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

/** Runs until `signal` aborts. */
export function startOfferer(deps: StartOffererDeps, signal: AbortSignal): Offerer {
  const { identity, sync, folder } = deps;
  const source = createOfferSource(sync, folder);
  const offer = async (stop: AbortSignal): Promise<number> => {
    const results = await Promise.allSettled(identity.contacts.map((contact) => offerHeld(contact, source, stop)));
    const failed = results.find((result) => result.status === "rejected");
    const given = results.reduce((sum, result) => sum + (result.status === "fulfilled" ? result.value : 0), 0);
    if (failed !== undefined && given === 0) throw failed.reason;
    return given;
  };
  const offerer = new Offerer({ ...deps, offer, heads: () => sync.heads }, signal);
  sync.onFreshness((statement) => offerer.hear(statement));
  return offerer;
}

function createOfferSource(sync: StartOffererDeps["sync"], folder: StateFolder): OfferSource {
  const { kept } = sync;
  const blobName = (digest: Digest): string => `blob-${digest}`;
  return {
    async held(): Promise<HeldParts> {
      const names = await folder.list();
      const blobs = names.filter((name) => /^blob-[0-9a-f]{64}$/.test(name)).map((name) => parseDigest(name.slice(5)));
      const { heads } = sync;
      return {
        trust: kept.held("trust", heads),
        activations: kept.held("activations", heads),
        revisions: kept.held("revisions", heads),
        rollouts: kept.held("rollouts", heads),
        blobs: blobs.slice(0, heldMax.blobs),
      };
    },
    read: async (digest) => (await kept.read(digest)) ?? folder.read(blobName(digest)),
  };
}

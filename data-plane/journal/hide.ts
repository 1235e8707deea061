/** Cuts private fields out of what a write stores, so that nothing of them is stored unencrypted. */
import { type Digest, digestFromBytes } from "../../core/digest.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { cutFrames } from "../../core/journal/private/cut.js";
import { keyedDigest, sealPart } from "../../core/journal/private/keys.js";
import type { MethodCuts } from "../../core/journal/private/plan.js";
import type { JournalHolder } from "../../core/model.js";
import { type JournalEntry, sameRequestDigest, type UnplacedEntry } from "../../core/wire/journal/entry.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import { digestToBuffer } from "../../core/wire/record-codec.js";
import type { Logger } from "../../runtime/log.js";
import { unavailableAnswer } from "../proxy/answer.js";
import type { CollectedWrite } from "./collected-write.js";
import type { SubjectKey, SubjectKeys } from "./subject-keys.js";

/** What is stored of a write. */
export interface Hidden {
  /** The entry without the fields that are known only when it is appended. */
  readonly entry: UnplacedEntry;
  /** Cuts private fields out of the response; undefined: there are none. */
  readonly hiding: Hiding | undefined;
}

export interface HidingDeps {
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
  /** Returns who holds the keys of private fields by the trust log; undefined: nobody yet. */
  readonly holder: () => JournalHolder | undefined;
}

type Kept = Pick<JournalOutcome, "response" | "responseDigest" | "responseBytes" | "private">;

/** Hides the private fields of one write. */
export class Hiding {
  readonly #key: SubjectKey;
  readonly #cuts: MethodCuts;
  readonly #nonce: Uint8Array;
  readonly #random: (bytes: number) => Buffer;

  /** `nonce`: that of the entry. */
  constructor(key: SubjectKey, cuts: MethodCuts, nonce: Uint8Array, random: (bytes: number) => Buffer) {
    this.#key = key;
    this.#cuts = cuts;
    this.#nonce = nonce;
    this.#random = random;
  }

  request(entry: Pick<JournalEntry, "order" | "request">): Pick<JournalEntry, "request" | "private"> {
    const cut = this.#cuts.request && cutFrames(entry.request, this.#cuts.request);
    if (cut?.edits === undefined) return { request: entry.request };
    const digest = requestDigest(this.#key.salt, entry);
    return { request: cut.stored, private: this.#part("request", cut.edits, digest) };
  }

  /** Hides the response. `bytes`: all of it; undefined: there was no room for it. */
  response(kept: Kept, bytes: Uint8Array | undefined): Kept {
    if (this.#cuts.response === undefined || kept.responseBytes === 0) return kept;
    const cut = bytes && cutFrames(bytes, this.#cuts.response);
    if (cut !== undefined && cut.edits === undefined) return kept;
    const digest = keyedDigest(this.#key.salt, "response", digestToBuffer(kept.responseDigest));
    const responseDigest: Digest = digestFromBytes(digest);
    if (kept.response === undefined || cut?.edits === undefined)
      return { ...kept, response: undefined, responseDigest, private: this.#part("response", undefined, digest) };
    const { stored, edits } = cut;
    const sealed = this.#part("response", edits, digest);
    return { response: stored, responseDigest, responseBytes: stored.length, private: sealed };
  }

  #part(part: "request" | "response", edits: Uint8Array | undefined, digest: Uint8Array) {
    const { service, subject, keyId, key } = this.#key;
    const place = { service, keyId, part, nonce: this.#nonce };
    const sealed = edits === undefined ? new Uint8Array() : sealPart(edits, key, place, this.#random(12));
    return { subject, keyId, sealed, digest };
  }
}

const requestDigest = (salt: Uint8Array, entry: Pick<JournalEntry, "order" | "request" | "streamed">): Uint8Array =>
  keyedDigest(salt, "request", digestToBuffer(sameRequestDigest(entry)));

/**
 * Returns whether a stored entry has the same request as a write whose messages are complete; undefined: its subject
 * was shredded, or its key is not known here yet. Fails as `Bus.directGet`.
 */
export async function isSameRequest(
  keys: SubjectKeys,
  stored: Pick<JournalEntry, "order" | "request" | "streamed" | "private">,
  write: { readonly entry: Pick<JournalEntry, "order" | "streamed">; readonly request: Uint8Array },
): Promise<boolean | undefined> {
  const { order, streamed } = write.entry;
  const whole = { order, streamed, request: write.request };
  if (stored.private === undefined) return sameRequestDigest(stored) === sameRequestDigest(whole);
  const { subject, keyId, digest } = stored.private;
  const salt = await keys.saltOf(subject, keyId);
  return salt && Buffer.from(digest).equals(requestDigest(salt, whole));
}

/**
 * Returns the entry of a write as it is stored. This is done before anything else. undefined: it cannot be stored, and
 * its caller was told.
 */
export async function hideWrite(
  write: CollectedWrite,
  entry: Hidden["entry"],
  keys: SubjectKeys,
  { random, log, holder }: HidingDeps,
): Promise<Hidden | undefined> {
  const { plan, method, subject } = write;
  const cuts = plan.privacy?.cuts.get(method);
  if (plan.privacy === undefined || cuts === undefined || subject === undefined) return { entry, hiding: undefined };
  const readBy = plan.privacy.holder || (holder()?.publicKey ?? "");
  if (readBy === "") {
    const message = "nobody holds the key of its private fields yet: nothing was appended or forwarded";
    write.answer(unavailableAnswer("journal", message, write.revision));
    return undefined;
  }
  try {
    const key = await keys.keyOf(subject, readBy);
    const hiding = new Hiding(key, cuts, entry.nonce, random);
    return { entry: { ...entry, ...hiding.request(entry) }, hiding };
  } catch (error) {
    if (!isAshlarError(error)) throw error;
    log.warn("a data key of private fields cannot be stored", { error: messageOf(error.cause ?? error) });
    const message = "the key of its private fields cannot be stored: nothing was appended or forwarded";
    write.answer(unavailableAnswer("journal", message, write.revision));
    return undefined;
  }
}

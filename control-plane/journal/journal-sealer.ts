/**
 * Seals journals: signs a hash chain over the stored messages at intervals, so that nobody who can write to the
 * broker's disk can change, remove, move or insert a message unnoticed. Every control plane looks; the one that sealed
 * last continues.
 */
import { type Digest, digestOf } from "../../core/digest.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { KeySet, Signer } from "../../core/signature.js";
import { chainWith, type JournalSeal, linkOf, signSeal, verifySeal } from "../../core/wire/journal/seal.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalSealSubject, journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { FoundJournal } from "./find-journals.js";
import type { SealLink, SealLinks } from "./seal-links.js";

export interface JournalSealerDeps {
  readonly bus: Pick<Bus, "append" | "leaderGet" | "directGet">;
  readonly mesh: string;
  readonly signer: Signer;
  /** Returns every signing key that the mesh has ever had. */
  readonly keys: () => KeySet;
  readonly clock: Pick<Clock, "nowMs">;
  /** What was read of late; left out: every message is read to be sealed. */
  readonly links?: SealLinks;
}

/** How far a journal is sealed, or would be by the next seal. */
interface Sealed {
  readonly number: number;
  readonly digest: Digest | undefined;
  readonly through: number;
  readonly chain: Digest | undefined;
  /** When the last seal was stored, and the key that signed it; 0 and "": there is none. */
  readonly storedMs: number;
  readonly kid: string;
}

/** Messages are sealed after this many milliseconds, or at once if there are many. */
export const sealEveryMs = 30_000;
const sealMessages = 2000;
/** The most messages that one look reads; the next look continues. */
const readMax = 20_000;
const atOnceMax = 64;
/** The factor by which another control plane waits longer for the seal of the one that sealed last. */
const othersPatience = 4;

export class JournalSealer {
  readonly #deps: JournalSealerDeps;
  /** The number of messages that were not sealed when a journal was last looked at, by service. */
  readonly #behind = new Map<string, number>();

  constructor(deps: JournalSealerDeps) {
    this.#deps = deps;
  }

  /** Returns the number of messages that no seal covered at the last look. */
  behind(service: string): number {
    return this.#behind.get(service) ?? 0;
  }

  /** Seals what is due. Fails with `unavailable`. */
  async look({ service, info }: FoundJournal, signal: AbortSignal): Promise<void> {
    const last = await this.#last(service, info.firstSequence);
    const nowMs = this.#deps.clock.nowMs();
    const behind = info.lastSequence - last.through;
    this.#behind.set(service, Math.max(0, behind));
    this.#deps.links?.drop(service, last.through);
    const isOthers = last.kid !== "" && last.kid !== this.#deps.signer.kid;
    const dueMs = last.storedMs + (isOthers ? othersPatience : 1) * sealEveryMs;
    if (behind <= 0 || (behind < sealMessages && nowMs < dueMs) || (isOthers && nowMs < dueMs)) return;
    const through = Math.min(info.lastSequence, last.through + readMax);
    await this.#forgetLost({ service, info }, last.through, through);
    const seal = await this.#sealOf(
      service,
      last,
      through,
      this.#linksOf({ service, info }, last.through, through, signal),
    );
    if (seal === undefined || signal.aborted) return;
    const { bytes } = signSeal(seal, this.#deps.mesh, this.#deps.signer);
    await this.#deps.bus.append(journalSealSubject(service), bytes);
    this.#behind.set(service, info.lastSequence - through);
  }

  /** Returns a seal over everything up to the last message. It is not stored: it ends a verification or an export. */
  async endOf({ service, info }: FoundJournal, signal: AbortSignal): Promise<Uint8Array> {
    const last = await this.#last(service, info.firstSequence);
    const links = readLinks(this.#deps.bus, service, last.through + 1, info.lastSequence, signal);
    const seal = await this.#sealOf(service, last, info.lastSequence, links, true);
    return seal === undefined ? new Uint8Array() : signSeal(seal, this.#deps.mesh, this.#deps.signer).bytes;
  }

  /** Returns the last seal whose messages are all at or before `through`, or undefined. */
  async sealBefore(service: string, through: number): Promise<JournalSeal | undefined> {
    const { bus, mesh, keys } = this.#deps;
    let found: JournalSeal | undefined;
    for (let from = 1; ; ) {
      const message = await bus.leaderGet(journalStream(service), { nextOf: journalSealSubject(service), from });
      if (message === undefined) return found;
      try {
        const { body } = verifySeal(message.data, mesh, keys());
        if (body.through > through) return found;
        found = body;
      } catch (error) {
        if (!isAshlarError(error) || error.code === "internal") throw error; // a seal that does not verify is ignored
      }
      from = message.sequence + 1;
    }
  }

  /** Returns the next seal, or undefined if nothing but seals was stored since the last. */
  async #sealOf(
    service: string,
    last: Sealed,
    through: number,
    links: AsyncIterable<SealLink>,
    isEnd = false,
  ): Promise<JournalSeal | undefined> {
    let { chain } = last;
    let [messages, isNews] = [0, isEnd && through > last.through];
    for await (const { link, isSeal } of links) {
      chain = chainWith(chain, link);
      messages += 1;
      isNews ||= !isSeal;
    }
    if (!isNews || chain === undefined) return undefined;
    const timeMs = this.#deps.clock.nowMs();
    const { number, digest: previous } = last;
    return { service, number: number + 1, previous, from: last.through + 1, through, chain, messages, timeMs };
  }

  /**
   * Forgets what was read before NATS lost messages that were not on its disk yet and gave their sequences to others:
   * whatever was lost, the last message that was read is another one now.
   */
  async #forgetLost({ service, info }: FoundJournal, after: number, through: number): Promise<void> {
    const { bus, links } = this.#deps;
    for (let at = through; at > after; at -= 1) {
      const known = links?.find(service, info, at);
      if (known === undefined) continue;
      const stored = await messageAt(bus, journalStream(service), at);
      const isSame = stored !== undefined && Buffer.compare(known.link, sealLinkOf(stored).link) === 0;
      return isSame ? undefined : links?.drop(service, through);
    }
  }

  /** The links of what comes after a seal: those that are known, and of what was not read yet the others. */
  async *#linksOf(
    { service, info }: FoundJournal,
    after: number,
    through: number,
    signal: AbortSignal,
  ): AsyncGenerator<SealLink> {
    const { bus, links } = this.#deps;
    for (let at = after + 1; at <= through; at += 1) {
      const known = links?.find(service, info, at);
      if (known !== undefined) {
        yield known;
        continue;
      }
      const from = at;
      while (at < through && links?.find(service, info, at + 1) === undefined) at += 1;
      yield* readLinks(bus, service, from, at, signal);
    }
  }

  /** Returns the last seal that verifies. Without one, everything is sealed again from the first message on. */
  async #last(service: string, firstSequence: number): Promise<Sealed> {
    const { bus, mesh, keys } = this.#deps;
    const none = {
      number: 0,
      digest: undefined,
      through: Math.max(0, firstSequence - 1),
      chain: undefined,
      storedMs: 0,
      kid: "",
    };
    const message = await bus.leaderGet(journalStream(service), { lastOf: journalSealSubject(service) });
    if (message === undefined) return none;
    try {
      const { body, kid } = verifySeal(message.data, mesh, keys());
      const { number, through, chain } = body;
      return { number, digest: digestOf(message.data), through, chain, storedMs: message.storedMs, kid };
    } catch (error) {
      if (isAshlarError(error) && error.code !== "internal") return none;
      throw new Error(`a seal cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }
}

export function sealLinkOf(message: StoredMessage): SealLink {
  const isSeal = parseJournalSubject(message.subject)?.kind === "seal";
  return { link: linkOf(sealedOf(message)), isSeal };
}

async function* readLinks(...of: Parameters<typeof readJournal>): AsyncGenerator<SealLink> {
  for await (const message of readJournal(...of)) yield sealLinkOf(message);
}

export function sealedOf(message: StoredMessage) {
  const { sequence, subject, data, storedMs } = message;
  return { sequence, subject, data, storedMs, statement: message.header(statementHeader) ?? "" };
}

/**
 * Reads a message by direct get, which costs the broker and this process a fraction of its API. A replica may lack the
 * message; then the leader says whether it exists. A malformed header block is read from the leader.
 */
export async function messageAt(
  bus: Pick<Bus, "leaderGet" | "directGet">,
  stream: string,
  sequence: number,
): Promise<StoredMessage | undefined> {
  const found = await bus.directGet(stream, { sequence }).catch((error: unknown) => {
    if (isAshlarError(error, "unavailable")) return undefined;
    throw error;
  });
  return found === undefined || found.relayed ? bus.leaderGet(stream, { sequence }) : found;
}

/** Yields the messages of a journal in order; missing ones are skipped. Fails with `unavailable`. */
export async function* readJournal(
  bus: Pick<Bus, "leaderGet" | "directGet">,
  service: string,
  from: number,
  through: number,
  signal: AbortSignal,
): AsyncGenerator<StoredMessage> {
  const stream = journalStream(service);
  for (let at = from; at <= through; at += atOnceMax) {
    if (signal.aborted) return;
    const count = Math.min(atOnceMax, through - at + 1);
    const asked = Array.from({ length: count }, (_, each) => messageAt(bus, stream, at + each));
    for (const message of await Promise.all(asked)) if (message !== undefined) yield message;
  }
}

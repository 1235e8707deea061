/**
 * Data keys of the subjects of private fields: created here, wrapped for the holder, and stored before they are used.
 */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { subjectTokenOf } from "../../core/journal/journal-key.js";
import { wrapKey } from "../../core/journal/private/keys.js";
import { type DataKeyRecord, encodeDataKey, parseDataKey } from "../../core/wire/journal/private.js";
import { journalKeySubject, journalKeysStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";

export interface SubjectKeysDeps {
  readonly bus: Pick<Bus, "append" | "directGet">;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

export interface SubjectKey {
  readonly service: string;
  readonly subject: string;
  readonly keyId: string;
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
}

interface Kept {
  readonly made: Promise<SubjectKey>;
  /** When the wrapped key was known to be stored, on the monotonic clock. */
  lookedMs: number;
}

const keptMax = 10_000;
/** The most milliseconds for which a shredded key may still be used. */
const lookEveryMs = 60_000;
const retryMs = 100;
const patienceMs = 4000;

export class SubjectKeys {
  readonly #deps: SubjectKeysDeps;
  readonly #service: string;
  readonly #kept = new BoundedMap<string, Kept>(keptMax);
  readonly #salts = new BoundedMap<string, Uint8Array>(keptMax);

  constructor(deps: SubjectKeysDeps, service: string) {
    this.#deps = deps;
    this.#service = service;
  }

  /**
   * Returns the data key of a subject, whose wrapped form is stored. Fails as `Bus.append` does; nothing may be stored
   * then.
   */
  async keyOf(subject: string, holder: string): Promise<SubjectKey> {
    const { clock } = this.#deps;
    const of = `${holder} ${subject}`;
    const kept = this.#kept.get(of);
    if (kept !== undefined) {
      const key = await kept.made;
      if (clock.monotonicMs() - kept.lookedMs < lookEveryMs) return key;
      const askedMs = clock.monotonicMs();
      if ((await this.#find(key.subject, key.keyId)) !== undefined) {
        kept.lookedMs = askedMs;
        return key;
      }
    }
    const now = this.#kept.get(of);
    if (now !== undefined && now !== kept) return now.made; // another write has made one meanwhile
    const made = this.#make(subject, holder);
    this.#kept.set(of, { made, lookedMs: clock.monotonicMs() });
    made.catch(() => {
      if (this.#kept.get(of)?.made === made) this.#kept.delete(of);
    });
    return made;
  }

  /**
   * Returns the salt of a key that some proxy of the service created; undefined: it was shredded, or this replica does
   * not have it yet.
   */
  async saltOf(subject: string, keyId: string): Promise<Uint8Array | undefined> {
    const salt = this.#salts.get(keyId) ?? (await this.#find(subject, keyId))?.salt;
    if (salt !== undefined) this.#salts.set(keyId, salt);
    return salt;
  }

  async #find(subject: string, keyId: string): Promise<DataKeyRecord | undefined> {
    const lastOf = journalKeySubject(this.#service, subject, keyId);
    const found = await this.#deps.bus.directGet(journalKeysStream(this.#service), { lastOf });
    return found && parseDataKey(found.data);
  }

  async #make(of: string, holder: string): Promise<SubjectKey> {
    const { random, clock } = this.#deps;
    const service = this.#service;
    const subject = subjectTokenOf(service, of);
    const keyId = random(16).toString("hex");
    const [key, salt] = [new Uint8Array(random(32)), new Uint8Array(random(32))];
    const wrapped = wrapKey(key, holder, { service, keyId }, random(32));
    const record = { service, subject, keyId, salt, holder, wrapped, timeMs: Math.round(clock.nowMs()) };
    await this.#store(journalKeySubject(service, subject, keyId), encodeDataKey(record), keyId);
    return { service, subject, keyId, key, salt };
  }

  /** Stores a key. Its NATS subject is new and accepts one message: if there is one, an earlier try was stored. */
  async #store(at: string, bytes: Uint8Array, keyId: string): Promise<void> {
    const { bus, clock } = this.#deps;
    const untilMs = clock.monotonicMs() + patienceMs;
    for (;;) {
      try {
        await bus.append(at, bytes, { headers: { "Nats-Msg-Id": keyId } });
        return;
      } catch (error) {
        if (isAshlarError(error, "exists")) return;
        if (!isAshlarError(error, "unavailable") || clock.monotonicMs() >= untilMs)
          throw new AshlarError("unavailable", "the keys of private parts cannot be stored", { cause: error });
      }
      await clock.sleep(retryMs);
    }
  }
}

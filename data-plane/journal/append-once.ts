/** Appends a record exactly once, however often it is tried, under a message id that only its writer knows. */
import { AshlarError } from "../../core/errors.js";

/** The sequence of the record, or of another message that was stored before under the same id. */
export interface Appended {
  readonly sequence: number;
  readonly isDuplicate: boolean;
}

interface OnceDeps {
  readonly append: (messageId: string) => Promise<Appended>;
  /** Returns whether the record itself is at a sequence. */
  readonly isStored: (sequence: number) => Promise<boolean>;
  readonly newId: () => string;
  readonly service: string;
}

/**
 * The most ids of 16 random bytes that others may have taken; whoever does that can read messages before they are
 * stored.
 */
const takenMax = 3;

/**
 * Returns a function that appends the record, may be called again, and resolves to its sequence. Fails as `Bus.append`
 * does.
 */
export function appendOnce({ append, isStored, newId, service }: OnceDeps): () => Promise<number> {
  let messageId = newId();
  let taken = 0;
  return async () => {
    for (;;) {
      const { sequence, isDuplicate } = await append(messageId);
      if (!isDuplicate || (await isStored(sequence))) return sequence;
      if (++taken > takenMax) throw new AshlarError("denied", `message ids of ${service}'s journal are taken`);
      messageId = newId();
    }
  };
}

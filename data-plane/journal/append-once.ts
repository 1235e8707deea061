/** Appends a record under a message id that its writer alone knows, as often as it takes, and once. */
import { AshlarError } from "../../core/errors.js";

/** What was appended is at this sequence, or something with the same message id was there before. */
export interface Appended {
  readonly sequence: number;
  readonly isDuplicate: boolean;
}

interface OnceDeps {
  readonly append: (messageId: string) => Promise<Appended>;
  /** Whether the record itself is at a sequence. */
  readonly isStored: (sequence: number) => Promise<boolean>;
  readonly newId: () => string;
  readonly service: string;
}

/** Ids of 16 random bytes that others have taken: whoever does that reads what is published before it is stored. */
const takenMax = 3;

/** Returns what appends the record, also when it is called again, and resolves to its sequence. Fails as `Bus.append` does. */
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

/**
 * Signs the records of one turn of the event loop together (decision 0073), because a signature costs more than
 * everything else about a record.
 */
import { type Digest, digestToBytes } from "../../core/digest.js";
import { statementHeader, statementHeaders } from "../../core/wire/statement.js";
import { batchRecordsMax, buildBatch, withPlace } from "../../core/wire/statement-batch.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";

type Headers = Readonly<Record<string, string>>;

/**
 * Returns a record's headers with its message id. Both names are written out where there is a statement, because an
 * object that was spread is read slowly.
 */
export function withMessageId(messageId: string, signed: Headers): Headers {
  const { [statementHeader]: statement } = signed;
  if (statement === undefined) return { "Nats-Msg-Id": messageId, ...signed };
  return { "Nats-Msg-Id": messageId, "Ashlar-Statement": statement };
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  resolve(headers: Headers): void;
  reject(error: unknown): void;
}

export class TurnSigner {
  readonly #statements: Pick<StatementWriter, "sign">;
  #waiting: Waiting[] = [];

  constructor(statements: Pick<StatementWriter, "sign">) {
    this.#statements = statements;
  }

  /** Resolves at the end of this turn to the headers for the record. Fails as `StatementWriter.sign`. */
  sign(bytes: Uint8Array, digest: Digest): Promise<Headers> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ bytes, digest, resolve, reject }) === 1) setImmediate(() => this.#signAll());
    });
  }

  #signAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < waiting.length; at += batchRecordsMax)
      this.#signBatch(waiting.slice(at, at + batchRecordsMax));
  }

  #signBatch(batch: readonly Waiting[]): void {
    try {
      const headers = this.#headersOf(batch);
      for (const [at, { resolve }] of batch.entries()) resolve(headers[at] ?? {});
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #headersOf(batch: readonly Waiting[]): readonly Headers[] {
    const [first] = batch;
    if (first !== undefined && batch.length === 1) return [this.#statements.sign("journal", first.bytes)];
    const { body, places } = buildBatch(batch.map(({ digest }) => digestToBytes(digest)));
    const { [statementHeader]: statement, ...others } = this.#statements.sign("journal-batch", body);
    if (statement === undefined) return batch.map(() => others);
    return places.map((place) => statementHeaders(withPlace(statement, place)));
  }
}

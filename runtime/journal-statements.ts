/**
 * The signed statements of journal records. The statement of records that were signed together is parsed, and its
 * signature verified, only once.
 */
import { hash } from "node:crypto";
import { BoundedMap } from "../core/bounded-map.js";
import { holdsStatement, leafDigest, parseStatement, type Said, type Statement } from "../core/wire/statement.js";
import { bodyAtPlace, splitPlace } from "../core/wire/statement-batch.js";
import type { Known } from "./statement-chain.js";

/** The most batches whose statements are remembered: so many may be interleaved in a log. */
const batchesMax = 256;

interface Parsed {
  readonly statement: Statement;
  readonly leaf: Buffer;
}

/** The statement in a record's header, which must not be trusted before `holds` returns true. */
export interface JournalStatement extends Parsed {
  readonly said: Said & Statement;
  /** Returns whether the key of the certificate made the signature. */
  holds(known: Known): boolean;
}

export class JournalStatements {
  readonly #parsed = new BoundedMap<string, Parsed>(batchesMax);
  /** Signatures that were verified, by statement, signed content and the certificate's key. */
  readonly #held = new BoundedMap<string, true>(batchesMax);

  /** Parses a header. Fails with `invalid_record` or `limit`. */
  read(header: string, data: Uint8Array, mesh: string): JournalStatement {
    const { statement: text, place } = splitPlace(header);
    if (place === undefined) {
      const { statement, leaf } = parse(text);
      const said = { ...statement, kind: "journal", mesh, body: data } as const;
      return { statement, leaf, said, holds: (known) => holds(said, known) };
    }
    const body = bodyAtPlace(hash("sha256", data, "buffer"), place);
    const { statement, leaf } = this.#parse(text);
    const said = { ...statement, kind: "journal-batch", mesh, body } as const;
    return {
      statement,
      leaf,
      said,
      holds: (known) => this.#holds(said, known, `${body.toString("base64url")}.${text}`),
    };
  }

  #parse(text: string): Parsed {
    const known = this.#parsed.get(text);
    if (known !== undefined) return known;
    const parsed = parse(text);
    // copied, because a slice of a string keeps the whole string in memory, here a header block of up to half a
    // megabyte
    this.#parsed.set(Buffer.from(text, "latin1").toString("latin1"), parsed);
    return parsed;
  }

  /**
   * Verifies a statement once. `name` identifies the signed content, the signature and the certificate with its key.
   */
  #holds(said: Said & Statement, known: Known, name: string): boolean {
    if (this.#held.has(name)) return true;
    const isHeld = holds(said, known);
    if (isHeld) this.#held.set(name, true);
    return isHeld;
  }
}

function parse(text: string): Parsed {
  const statement = parseStatement(text);
  return { statement, leaf: leafDigest(statement.chain[0] ?? new Uint8Array()) };
}

const holds = (said: Said & Statement, { leaf, key }: Known): boolean =>
  holdsStatement(said, said.signature, leaf, key);

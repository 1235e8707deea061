import { hash, randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { buildBatch, withPlace } from "../../core/wire/statement-batch.js";
import { Statement } from "../../proto/gen/ashlar/v1/fleet.js";
import { JournalStatements } from "../../runtime/journal-statements.js";
import { firstValueOf, parseHeaderBlock } from "../../runtime/nats-headers.js";
import { heldBytes } from "../support/held.js";

const data = Buffer.from("a record");

/** A block whose statement can be parsed, and holds for nobody. */
function forgedBlock(counter: number, padding: number): Buffer {
  const [chain, signature] = [[randomBytes(600)], randomBytes(64)];
  const statement = Statement.encode({ counter, timeMs: 1, link: Buffer.alloc(0), chain, signature }).finish();
  const [place = ""] = buildBatch([hash("sha256", data, "buffer"), randomBytes(32)]).places;
  const header = withPlace(Buffer.from(statement).toString("base64url"), place);
  return Buffer.from(`NATS/1.0\r\nAshlar-Statement: ${header}\r\nPadding: ${"p".repeat(padding)}\r\n\r\n`);
}

test("of header blocks of any length a reader keeps the statements alone", () => {
  const statements = new JournalStatements();
  const before = heldBytes();
  for (let counter = 1; counter <= 50; counter += 1) {
    const block = parseHeaderBlock(forgedBlock(counter, 500_000));
    const header = (block && firstValueOf(block, "Ashlar-Statement")) ?? "";
    expect(statements.read(header, data, "mesh").statement.counter).toBe(counter);
  }
  expect(heldBytes() - before).toBeLessThan(5_000_000); // not 25 MB
  expect(statements).toBeDefined();
});

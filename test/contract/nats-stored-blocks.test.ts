import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { isAshlarError } from "../../core/errors.js";
import { statementHeader } from "../../core/wire/statement.js";
import type { Bus, StoredMessage } from "../../runtime/bus.js";
import { startTestNats, type TestNats, type TestUser } from "../support/nats.js";
import { RawNats } from "../support/raw-nats.js";

const inbox = "_INBOX_blocks";
let nats: TestNats;
let user: TestUser;
let bus: Bus;

beforeAll(async () => {
  nats = await startTestNats({ streams: false });
  user = await nats.user({ publish: ["$JS.API.>", "blocks.>"], subscribe: [`${inbox}.>`] }, inbox);
  bus = await nats.connect(user, { timeoutMs: 5000 });
  await bus.createStream({
    ...{ name: "BLOCKS", subjects: ["blocks.>"], replicas: 1, discard: "new", discardNewPerSubject: false },
    ...{ maxMessagesPerSubject: undefined, maxBytes: undefined, maxMessageBytes: undefined },
    ...{ denyDelete: true, denyPurge: true, allowDirect: true, republish: undefined },
  });
}, 60_000);
afterAll(() => nats.stop());

/** Header blocks that a thief of a proxy's credential can store, since the server judges none. */
const blocks: readonly (readonly [what: string, block: string, statement: string | undefined])[] = [
  ["is whole", "NATS/1.0\r\nAshlar-Statement: s\r\n\r\n", "s"],
  ["ends with two other bytes", "NATS/1.0\r\nAshlar-Statement: s\r\nzz", "s"],
  ["is cut off within a value", "NATS/1.0\r\nAshlar-Statement: szz", "sNats-Stream: BLOCKS"],
  [
    "is cut off behind a server's field",
    "NATS/1.0\r\nNats-Stream: BLOCKS\r\nAshlar-Statement: szz",
    "sNats-Stream: BLOCKS",
  ],
  ["is cut off behind a name", "NATS/1.0\r\nAshlar-Statement: s\r\nXzz", "s"],
  ["has a line without a colon", "NATS/1.0\r\nAshlar-Statement: s\r\nX\r\n\r\n", undefined],
  ["has a server's fields", "NATS/1.0\r\nAshlar-Statement: s\r\nNats-Subject: blocks.b\r\n\r\n", "s"],
];

test.each(blocks)(
  "a stored block that %s says the same by a direct get and by the leader",
  async (_, block, statement) => {
    const raw = await RawNats.open(nats.url, user);
    raw.publish("blocks.a", block, "body");
    await raw.flush();
    raw.close();
    const sequence = (await bus.streamInfo("BLOCKS"))?.lastSequence ?? 0;
    const direct = await bus.directGet("BLOCKS", { sequence }).catch(unreadable);
    const leader = await bus.leaderGet("BLOCKS", { sequence });
    expect([leader?.sequence, leader?.subject, textOf(leader)]).toEqual([sequence, "blocks.a", "body"]);
    expect(leader?.header(statementHeader)).toBe(statement);
    if (direct === "unreadable") return; // whoever asked goes to the leader
    expect([direct?.subject, textOf(direct)]).toEqual(["blocks.a", "body"]);
    expect(direct?.header(statementHeader)).toBe(statement);
  },
);

const textOf = (message: StoredMessage | undefined): string => Buffer.from(message?.data ?? []).toString();

function unreadable(error: unknown): "unreadable" {
  if (isAshlarError(error, "unavailable")) return "unreadable";
  throw error;
}

/** `ashlar journal shred`: in whose journals it erases, and what it asks before. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import { type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

let admin: FakeAdmin;
let keys: Record<string, number>;
let asked: string[];

beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());

function start(found: Record<string, number>): void {
  keys = found;
  asked = [];
  admin.answers = {
    listJournals: { services: ["books", "ledger", "plain"] },
    shredJournal: ({ service, reason, dryRun }: { service: string; reason: string; dryRun: boolean }) => {
      if (keys[service] === undefined) throw new AshlarError("not_found", `${service} has no data key of this subject`);
      if (!dryRun) asked.push(`${service}: ${reason}`);
      return { keys: keys[service] };
    },
  };
}

test("without a service it erases in every journal that has data keys of the subject", async () => {
  start({ ledger: 2, books: 1 });
  const { code, out } = await admin.run("journal", "shred", "ada", "-m", "asked for it", "--yes", "-o", "json");
  expect([code, JSON.parse(out)]).toEqual([
    0,
    {
      ...{ subject: "ada", keys: 3 },
      journals: [
        { service: "books", keys: 1 },
        { service: "ledger", keys: 2 },
      ],
    },
  ]);
  expect(asked).toEqual(["books: asked for it", "ledger: asked for it"]);
});

test("what somebody else erases meanwhile keeps no other journal from being erased", async () => {
  start({ ledger: 2, books: 1 });
  const shred = admin.answers.shredJournal as (request: { service: string; dryRun: boolean }) => unknown;
  admin.answers.shredJournal = (request: { service: string; dryRun: boolean }) => {
    if (request.service === "books" && !request.dryRun) throw new AshlarError("not_found", "it was shredded");
    return shred(request);
  };
  const { code, out } = await admin.run("journal", "shred", "ada", "--yes");
  expect([code, out]).toEqual([
    0,
    "What is private of ada in the journals of books, ledger is unreadable: 2 data keys erased.\n",
  ]);
  expect(asked).toEqual(["ledger: no reason was given"]);
});

test("with a service it erases there alone, and without a message it says that no reason was given", async () => {
  start({ ledger: 2, books: 1 });
  const { code, out } = await admin.run("journal", "shred", "ada", "--service", "ledger", "--yes");
  expect([code, out]).toEqual([
    0,
    "What is private of ada in the journal of ledger is unreadable: 2 data keys erased.\n",
  ]);
  expect(asked).toEqual(["ledger: no reason was given"]);
});

test("nothing is erased where nobody said yes, and what would be is told first", async () => {
  start({ ledger: 2, books: 1 });
  const { code, error } = await admin.run("journal", "shred", "ada");
  expect([code, asked]).toEqual([1, []]);
  expect(error).toBe(`1 data key of books would be erased for good
2 data keys of ledger would be erased for good
ashlar: nothing was erased: give --yes if it is meant
`);
});

test.each([
  ["of no journal", [], /no journal has a data key of this subject/],
  ["of the named service", ["--service", "ledger"], /ledger has no data key of this subject/],
])("a subject %s is refused", async (_what, flags, why) => {
  start({});
  const { code, error } = await admin.run("journal", "shred", "ada", ...flags, "--yes");
  expect([code, asked, error]).toEqual([1, [], expect.stringMatching(why)]);
});

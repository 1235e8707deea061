import { randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import { buildSpiffeId } from "../../../core/identity.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import { JournalStore } from "../../../data-plane/journal/journal-store.js";
import { JournaledWrite } from "../../../data-plane/journal/journaled-write.js";
import { SubjectKeys } from "../../../data-plane/journal/subject-keys.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const current = pki.issue("bytes", "p1");
const unkeyed: Omit<Journal, "kind" | "name" | "service"> = {
  ...{ mode: "before", response: "digest", idempotencyKey: undefined, orderBy: undefined },
};
const keyed = { ...unkeyed, response: "bytes", idempotencyKey: 'request.headers["k"]' } as const;

/** When an entry was tried to be appended, in milliseconds since the first try, by a clock that sleeping moves. */
async function triesOf(journal: Omit<Journal, "kind" | "name" | "service">): Promise<readonly number[]> {
  let nowMs = 0;
  const clock = {
    ...{ nowMs: () => nowMs, monotonicMs: () => nowMs },
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  const tries: number[] = [];
  const append = async (): Promise<never> => {
    tries.push(nowMs);
    throw new AshlarError("unavailable", "NATS is not there");
  };
  const bus = { append, directGet: async () => undefined };
  const identity = { current, onRotate: () => () => {} };
  const parts = {
    statements: writerOf(current),
    reader: pki.reader(),
    keys: () => new Map(),
    clock,
    random: randomBytes,
  };
  const store = new JournalStore({ bus, identity, ...parts }, "bytes");
  const plan = buildPolicy(2, [{ service: "bytes", allow: [everyone], journal }]).unit("bytes")?.journal;
  if (plan === undefined) throw new Error("there is a journal");
  const caller = buildSpiffeId(testMesh, "service", "shop");
  const entry = {
    ...{ service: "bytes", proxyId: "p1", life: "ab".repeat(16), nonce: Buffer.alloc(16, 1), timeMs: 1, caller },
    ...{ user: "", method: "a.B/C", revision: 1, epoch: 1, decision: "", key: "k", order: "", deadlineMs: 0 },
    ...{ traceId: "", fields: [], request: Buffer.from("request") },
  };
  const whole = { request: entry.request, hiding: undefined };
  const known = { plan, entry, ...whole, expected: undefined, dueAtMs: Number.POSITIVE_INFINITY, tell: () => {} };
  const request = {
    ...{ ...known, hasLeft: () => false, isTold: () => true },
    forward: async () => "not-forwarded" as const,
    sendAgain: async () => undefined,
  };
  const { signal } = new AbortController();
  const subjectKeys = new SubjectKeys({ bus, clock, random: randomBytes }, "bytes");
  const shared = {
    store,
    subjectKeys,
    clock,
    random: () => 0.5,
    running: new Map(),
    life: entry.life,
    processLife: "",
    tookOver: false,
    signal,
  };
  await new JournaledWrite(request, shared, () => {}).run();
  return tries;
}

test.each([
  ["of a journal without keys", unkeyed, 120_000],
  ["of one that remembers keys for a minute", { ...keyed, rememberKeysMs: 60_000 }, 120_000],
  ["of one that remembers keys for a day: ten minutes", keyed, 620_000],
])("an entry %s is not tried again once the stream may have forgotten its id", async (_which, journal, knownMs) => {
  const last = (await triesOf(journal)).at(-1) ?? 0;
  expect(last).toBeGreaterThan(knownMs - 30_000);
  expect(last).toBeLessThan(knownMs - 10_000);
});

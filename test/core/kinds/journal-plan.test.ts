import { describe, expect, test } from "@jest/globals";
import { parseSpiffeId } from "../../../core/identity.js";
import { compileJournal } from "../../../core/journal/plan.js";
import { buildSnapshot } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

const caller = parseSpiffeId("spiffe://demo/service/shop");
const method = "bank.Ledger/Transfer";

function planOf(fields: string, service = "noSideEffects: [bank.Ledger/Balance]") {
  const content = `kind: Service\nname: ledger\n${service}\n---\nkind: Journal\nname: l\nservice: ledger\nmode: before\nresponse: bytes\n${fields}`;
  const { objects, findings } = parsePolicyFiles([{ name: "p.yaml", content }]);
  expect(findings).toEqual([]);
  const [found] = buildSnapshot(objects.map(({ object }) => object)).units.filter(({ unit }) => unit.name === "ledger");
  const plan = found && compileJournal(found.unit, "demo");
  if (plan === undefined) throw new Error("no plan");
  return plan;
}

const inputs = (headers: Readonly<Record<string, string>>) => ({
  header: (name: string) => headers[name],
  sourceAddress: undefined,
  nowMs: 0,
  claims: undefined,
  destinationLabels: new Map<string, string>(),
});

describe("the plan of a journal", () => {
  test("without methods every method that has side effects is a write", () => {
    const plan = planOf("");
    expect(plan.isWrite(method)).toBe(true);
    expect(plan.isWrite("bank.Ledger/Balance")).toBe(false);
    expect(planOf("", "noSideEffects: [bank.Reader/*]").isWrite("bank.Reader/Get")).toBe(false);
  });

  test("with methods only those are", () => {
    const plan = planOf("methods: [bank.Ledger/Transfer, bank.Admin/*]");
    expect([method, "bank.Admin/Close", "bank.Ledger/Open"].map(plan.isWrite)).toEqual([true, true, false]);
  });

  test("a key is missing, empty or too long: the reason says so", () => {
    const plan = planOf('idempotencyKey: request.headers["k"]\norderBy: caller.service + "/" + request.headers["o"]');
    expect(plan.keysOf(caller, method, inputs({ k: "a", o: "b" }))).toEqual({ key: "a", order: "shop/b" });
    expect(plan.keysOf(caller, method, inputs({ o: "b" }))).toMatch(
      /idempotency key of ledger's journal cannot be made/,
    );
    expect(plan.keysOf(caller, method, inputs({ k: "", o: "b" }))).toMatch(/is empty/);
    expect(plan.keysOf(caller, method, inputs({ k: "é".repeat(257), o: "b" }))).toMatch(/has 514 bytes/);
    expect(plan.keysOf(caller, method, inputs({ k: "a" }))).toMatch(/order key/);
  });

  test("keys that come to no text are refused when a call comes, where no type told before", () => {
    const plan = planOf("orderBy: jwt.claims.level");
    const claims = new Map([["level", 3n]]);
    expect(plan.keysOf(caller, method, { ...inputs({}), claims })).toMatch(/is not a text/);
    expect(plan.readsToken).toBe(true);
  });
});

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { buildSpiffeId } from "../../../../core/identity.js";
import { buildSubject } from "../../../../core/policy/access-plan.js";
import { readCondition } from "../../../../core/policy/condition/condition.js";
import { Failure } from "../../../../core/policy/condition/values.js";
import { conditions, inputsWith } from "../../../support/policy-arbitrary.js";
import { runs } from "../../../support/runs.js";

const words =
  'caller caller.id request.headers["x-a"] request.headers jwt.claims jwt.claims.a now source.address destination.labels x y . .id [ ] ( ) { } , : ? ! - + * / % == != < <= > >= && || in true false null 1 0 -1 9223372036854775807 1.5 "a" "" \'b\' [1,2] ["a"] size( has( string( int( timestamp( "2026-01-01T00:00:00Z" duration( "1h" .exists(x, .all(y, .map(x, .filter(x, .matches( .contains( .getHours( ) ) )'.split(
    " ",
  );
const subject = buildSubject(buildSpiffeId("demo", "service", "cart"), "a.B/C", "demo");

test("no text makes the checker throw, and what it lets in evaluates to true, false or a failure", () => {
  let accepted = 0;
  const good = fc.array(fc.constantFrom(...conditions.keys()), { minLength: 1, maxLength: 3 });
  const texts = fc.oneof(
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...words), { maxLength: 14 }).map((parts) => parts.join(" ")) },
    { weight: 2, arbitrary: fc.string({ maxLength: 60, unit: "binary" }) },
    // words and bytes make a condition once in a thousand times, if at all
    { weight: 1, arbitrary: good.map((parts) => parts.map((part) => `(${part})`).join(" && ")) },
  );
  fc.assert(
    fc.property(texts, (text) => {
      const found = readCondition(text);
      if (!("reads" in found)) {
        for (const { offset } of found) expect(offset >= 0 && offset <= text.length).toBe(true);
        return;
      }
      accepted += 1;
      for (const inputs of [undefined, inputsWith({ "x-a": "1" })]) {
        const outcome = found.evaluate(subject, inputs);
        expect(typeof outcome === "boolean" || outcome instanceof Failure).toBe(true);
      }
    }),
    { numRuns: runs(5000) },
  );
  expect(accepted).toBeGreaterThan(runs(5000) / 50);
});

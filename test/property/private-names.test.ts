/** Names of private fields and their numbers say the same, whatever the descriptors are. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  type FieldType,
  type MessageType,
  parseMessageType,
  renderMessageType,
} from "../../core/journal/private/message-types.js";
import { numberField } from "../../core/journal/private/names.js";
import { runs } from "../support/runs.js";

const methodName = "pkg.S/M";
const nameOf = (index: number): string => `pkg.M${index}`;

/** Messages that refer to each other; a step of a path is the index of a field. */
const descriptors = fc.integer({ min: 1, max: 5 }).chain((count) => {
  const field = fc.record({
    number: fc.integer({ min: 1, max: 2 ** 29 - 1 }),
    form: fc.constantFrom("plain" as const, "message" as const, "map" as const),
    to: fc.integer({ min: 0, max: count - 1 }),
  });
  const fields = fc.uniqueArray(field, { minLength: 1, maxLength: 6, selector: ({ number }) => number });
  return fc.array(fields, { minLength: count, maxLength: count });
});

const messagesOf = (all: readonly (readonly { number: number; form: FieldType["form"]; to: number }[])[]) =>
  all.map((fields, index): MessageType => {
    const written = fields.map(({ number, form, to }, at) => {
      const type = form === "plain" ? "" : nameOf(to);
      return [`field_${at}`, { number, form, type }] as const;
    });
    return { name: nameOf(index), fields: new Map(written), oneofs: new Map([["either", ["field_0"]]]) };
  });

test("names, numbers and any mixture of them are stored as the same numbers", () => {
  const steps = fc.array(fc.tuple(fc.nat(), fc.boolean()), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(descriptors, steps, (all, walk) => {
      const messages = messagesOf(all);
      for (const message of messages) expect(parseMessageType(renderMessageType(message))).toEqual(message);
      const types = {
        methods: new Map([[methodName, { method: "M", request: nameOf(0), response: nameOf(0) }]]),
        messages: new Map(messages.map((message) => [message.name, message])),
      };
      const [names, numbers, mixed]: [string[], string[], string[]] = [[], [], []];
      let here = messages[0];
      for (const [choice, isNamed] of walk) {
        const fields = [...(here?.fields ?? [])];
        const chosen = fields[choice % Math.max(1, fields.length)];
        if (chosen === undefined) break;
        const [name, { number, type }] = chosen;
        names.push(name);
        numbers.push(String(number));
        mixed.push(isNamed ? name : String(number));
        here = types.messages.get(type);
      }
      const stored = { field: `${methodName} request.${numbers.join(".")}`, doubt: undefined };
      for (const path of [names, numbers, mixed])
        expect(numberField({ method: methodName, part: "request", path }, types)).toEqual(stored);
    }),
    { numRuns: runs(300) },
  );
});

/**
 * A rate: the tokens that come back in a period. Files write it as a text such as "100/s"; the bytes have two fields of
 * the limit.
 */
import { converted, text } from "../../snapshot/shapes.js";
import { type RecordOf, type RecordType, record, required } from "../record.js";
import { writtenAs } from "../type.js";
import { wholeNumber } from "../types.js";
import { isPeriod, parseRate, ratePattern, renderRate, tokensMax } from "./limit-grammar.js";

const fields = {
  /** Tokens that come back in `periodMs`. */
  tokens: required(3, wholeNumber(1, tokensMax), 1, "Tokens that come back in a period."),
  /** The length of the period in milliseconds: 1000, 60,000 or 3,600,000. */
  periodMs: required(4, wholeNumber(1000, 3_600_000), 1000, "The period."),
};

export interface Rate extends RecordOf<typeof fields> {}

const both = record("a rate", fields, {
  why: ({ periodMs }) => (isPeriod(periodMs) ? undefined : `no period has ${periodMs} ms`),
});

const shape = converted(
  text("a rate such as 100/s, 600/m or 10000/h", ratePattern, (value) => {
    if (parseRate(value) !== undefined) return undefined;
    return /^\d+\/[smh]$/.test(value) ? `from 1 to ${tokensMax} in a period` : "";
  }),
  (value): Rate => parseRate(value) ?? { tokens: 1, periodMs: 1000 },
);

export const rate: RecordType<Rate> = { ...both, ...writtenAs(both, shape, renderRate) };

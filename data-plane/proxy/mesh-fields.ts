import { headerNames } from "../../core/wire/headers.js";
import { listName } from "../http2/field-names.js";

/** Ids of the header names that proxies send each other, in addition to the names that the engine lists. */
export const meshField = {
  caller: listName(headerNames.caller, false),
  revision: listName(headerNames.revision, false),
  /** The value differs in each refusal. */
  decision: listName(headerNames.decision, true),
  epoch: listName(headerNames.epoch, false),
  unprocessed: listName(headerNames.unprocessed, false),
  /** The values of the next three differ in each call. */
  sequence: listName(headerNames.sequence, true),
  expectedSequence: listName(headerNames.expectedSequence, true),
  afterSequence: listName(headerNames.afterSequence, true),
} as const;

import { headerNames } from "../../core/wire/headers.js";
import { listName } from "../http2/field-names.js";

/** Ids of the header names that proxies tell each other, beside those that the engine knows. */
export const meshField = {
  caller: listName(headerNames.caller, false),
  revision: listName(headerNames.revision, false),
  /** Another in each refusal. */
  decision: listName(headerNames.decision, true),
  epoch: listName(headerNames.epoch, false),
} as const;

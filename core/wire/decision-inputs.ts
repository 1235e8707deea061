/** The recorded inputs of a decision, as bytes. */
import { type Decision as DecisionMessage, RecordedState as state } from "../../proto/gen/ashlar/v1/decision.js";
import { type DecisionInputs, noInputs, type Recorded } from "../decision/decision-record.js";
import { AshlarError } from "../errors.js";
import type { Label } from "../model.js";
import { boundedList } from "./bounds.js";
import { parseValue, renderValue } from "./recorded-values.js";

const itemsMax = 256;

export const stateOf = {
  missing: state.RECORDED_STATE_MISSING,
  whole: state.RECORDED_STATE_WHOLE,
  digest: state.RECORDED_STATE_DIGEST,
  withheld: state.RECORDED_STATE_WITHHELD,
} as const satisfies Record<Recorded<unknown>["state"], state>;

/** Returns the fields of a decision's message that hold its inputs. */
export function renderInputs(inputs: DecisionInputs) {
  const { source, labels, sourceLabels } = inputs;
  return {
    headers: inputs.headers.map(({ name, content, digest }) => ({
      name,
      state: stateOf[content.state],
      value: content.state === "whole" ? content.value : "",
      digest: Buffer.from(digest, "hex"),
    })),
    sourceRecorded: source !== undefined,
    sourceAddress: source?.address ?? "",
    labelsRecorded: labels !== undefined,
    labels: (labels ?? []).map((label) => ({ ...label })),
    sourceLabelsRecorded: sourceLabels !== undefined,
    sourceLabels: (sourceLabels ?? []).map((label) => ({ ...label })),
    claimsComplete: inputs.claimsComplete,
    claims: inputs.claims.map(({ name, content }) => ({
      name,
      state: stateOf[content.state],
      value: content.state === "whole" ? renderValue(content.value) : undefined,
    })),
    issuerRecorded: inputs.issuer !== undefined,
    tokenIssuer: inputs.issuer?.name ?? "",
  };
}

/** Parses the inputs of a decision; fails with `invalid_record` or `limit`. */
export function parseInputs(message: DecisionMessage): DecisionInputs {
  const { headers, claims, labels, sourceLabels, sourceRecorded, claimsComplete, issuerRecorded } = message;
  const isNothing = headers.length === 0 && claims.length === 0 && !sourceRecorded && !claimsComplete;
  if (isNothing && !message.labelsRecorded && !message.sourceLabelsRecorded && !issuerRecorded) return noInputs;
  return {
    headers: boundedList("headers", headers, itemsMax).map((header) => ({
      name: header.name,
      content: parseContent(header.state, () => header.value),
      digest: header.digest.toString("hex"),
    })),
    source: sourceRecorded ? { address: message.sourceAddress === "" ? undefined : message.sourceAddress } : undefined,
    labels: message.labelsRecorded ? parseLabels("labels", labels) : undefined,
    sourceLabels: message.sourceLabelsRecorded ? parseLabels("source_labels", sourceLabels) : undefined,
    claims: boundedList("claims", claims, itemsMax).map((claim) => ({
      name: claim.name,
      content: parseContent(claim.state, () => parseValue(claim.value)),
    })),
    issuer: issuerRecorded ? { name: message.tokenIssuer === "" ? undefined : message.tokenIssuer } : undefined,
    claimsComplete,
  };
}

function parseLabels(field: string, labels: readonly Label[]): readonly Label[] {
  return boundedList(field, labels, itemsMax).map(({ key, value }) => ({ key, value }));
}

function parseContent<Content>(found: state, value: () => Content): Recorded<Content> {
  switch (found) {
    case state.RECORDED_STATE_WHOLE:
      return { state: "whole", value: value() };
    case state.RECORDED_STATE_MISSING:
      return { state: "missing" };
    case state.RECORDED_STATE_DIGEST:
      return { state: "digest" };
    case state.RECORDED_STATE_WITHHELD:
      return { state: "withheld" };
    default:
      throw new AshlarError("invalid_record", `what is recorded of an input is ${found}`);
  }
}

/** What is noted of a call that comes in, as far as its sender may say it. */
import { isGatewayCaller } from "../../core/identity.js";
import { isMethod } from "../../core/snapshot/grammar.js";
import type { FieldBlock } from "../http2/field-block.js";
import { clientNetworkOf, type SourceLabels } from "./call-inputs.js";
import type { CallFacts } from "./forward/call-facts.js";
import type { Peer } from "./forward/listener.js";
import { replayedBy } from "./replayed-call.js";
import type { RequestHead } from "./request-head.js";

/** Notes who calls, and what the fields say that only some senders may send: they are gone from the request after that. */
export function noteFacts(
  call: CallFacts,
  head: RequestHead,
  fields: FieldBlock,
  peer: Peer,
  labels: SourceLabels,
): void {
  call.sourceAddress = peer.sourceAddress;
  call.reader = peer.reader;
  if (head.client >= 0 && isGatewayCaller(peer.spiffeId)) call.client = fields.valueText(head.client);
  if (head.expected >= 0) {
    call.expectedSequence = fields.valueText(head.expected);
    fields.drop(head.expected);
  }
  if (head.after >= 0) {
    call.afterSequence = fields.valueText(head.after);
    fields.drop(head.after);
    if (isGatewayCaller(peer.spiffeId)) call.readFor = call.client ?? clientNetworkOf(fields);
  }
  if (peer.isOperator === true) call.replay = replayedBy(fields);
  if (peer.reader !== undefined) return; // an application's word is no proxy's
  if (head.labels >= 0) call.sourceLabels = labels.of(fields.valueText(head.labels));
  if (head.calledMethod >= 0) call.calledMethod = methodOf(fields.valueText(head.calledMethod));
}

/** What a peer says of the method before its route changed it goes into records, so that it has to be a method. */
function methodOf(text: string): string | undefined {
  return isMethod(text) ? text : undefined;
}

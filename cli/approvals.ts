/** Approvals of revisions as commands print them. */
import type { ApprovalInfo } from "./client.js";
import { renderTime } from "./output.js";

export function approvalToJson({ operator, reason, timeMs }: ApprovalInfo) {
  return { operator, reason, time: renderTime(timeMs) };
}

/** The names of operators; "-" for nobody. */
export function renderApprovers(approvals: readonly ApprovalInfo[]): string {
  return approvals.map(({ operator }) => operator.slice(operator.lastIndexOf("/") + 1)).join(", ") || "-";
}

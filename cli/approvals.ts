/** Renders approvals of revisions. */
import type { ApprovalInfo } from "./client.js";
import { renderTime } from "./output.js";

export function approvalToJson({ operator, reason, timeMs }: ApprovalInfo) {
  return { operator, reason, time: renderTime(timeMs) };
}

/** Returns the names of operators, or "-" if there are none. */
export function renderApprovers(approvals: readonly ApprovalInfo[]): string {
  return approvals.map(({ operator }) => operator.slice(operator.lastIndexOf("/") + 1)).join(", ") || "-";
}

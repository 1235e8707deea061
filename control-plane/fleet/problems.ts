/** The problems of the mesh that `status` shows. */

/** Stable names that scripts may branch on. A new kind of problem gets a new name. */
export type ProblemCode =
  | "proxy-behind"
  | "proxy-rejecting"
  | "proxy-silent"
  | "proxy-never-heard"
  | "proxy-revoked"
  | "proxies-unsigned"
  | "workers-missing"
  | "certificate-expiring"
  | "clock"
  | "control-plane-silent"
  | "route-without-instance"
  | "version-without-instance"
  | "mirror-without-instance"
  | "replica-without-instance"
  | "replica-silent"
  | "endpoint-out-of-reach"
  | "instance-ejected"
  | "instance-unhealthy"
  | "roster-full"
  | "nats-away"
  | "nats-server-silent"
  | "nats-account"
  | "log"
  | "audit"
  | "recovery"
  | "record-conflict"
  | "issuer"
  | "journal"
  | "disk";

export interface Problem {
  readonly code: ProblemCode;
  /** One line for people. */
  readonly message: string;
  /**
   * The object of the problem: a proxy's id, "SERVICE VERSION", or a part of the control plane; "": none in particular.
   */
  readonly subject: string;
}

/** Returns one problem for each line that a part of the control plane reports. */
export function problemsAbout(code: ProblemCode, lines: readonly string[], subject = ""): readonly Problem[] {
  return lines.map((message) => ({ code, message, subject }));
}

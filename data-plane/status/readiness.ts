/** Says whether a proxy should be sent calls, and if not, why. Pure. */
export interface ReadinessFacts {
  readonly draining: boolean;
  readonly hasRevision: boolean;
  /** Why the certificate is not accepted. undefined: it is not revoked. */
  readonly revoked: string | undefined;
  readonly certificateExpiresMs: number;
  /** Whether an application is registered. undefined: the proxy only serves outbound calls and needs none. */
  readonly hasApplication: boolean | undefined;
  /** Why the application cannot be called. "": it can. */
  readonly unhealthy: string;
  readonly nowMs: number;
  /** The reasons why calls are not carried, one line each. */
  readonly carrying: readonly string[];
}

/** Returns one line for each reason not to be ready; an empty list if the proxy is ready. */
export function reasonsNotReady(facts: ReadinessFacts): readonly string[] {
  const reasons: string[] = [...facts.carrying];
  if (facts.draining) reasons.push("the proxy is stopping");
  if (facts.revoked !== undefined) reasons.push(facts.revoked);
  if (!facts.hasRevision) reasons.push("no revision is active here: calls are answered with UNAVAILABLE");
  if (facts.nowMs >= facts.certificateExpiresMs) reasons.push("the certificate has expired and was not renewed");
  if (facts.hasApplication === false) reasons.push("no application is registered");
  if (facts.unhealthy !== "") reasons.push(`the application cannot be called: ${facts.unhealthy}`);
  return reasons;
}

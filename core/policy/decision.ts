/** What policy says of a call. */

/** What policy says about one call. Every decision names its rule. */
export interface Decision {
  readonly allow: boolean;
  /** For example "checkout-charges/allow[0]", or "default-deny". For operators; never for the caller. */
  readonly rule: string;
  /** One line for operators. */
  readonly reason: string;
}

/** Whether a caller may call a method, as far as the two alone say. */
export interface Access {
  readonly kind: "allowed" | "conditional" | "denied";
  /** What allows or denies it; of a conditional one, the first rule that may allow it. */
  readonly rule: string;
  /** In CEL, true exactly where a call is allowed; "" if it is not conditional. */
  readonly condition: string;
}

/** What of a subject stands for itself; where it stands for others too, conditions on it are left open. */
export interface SubjectKnowledge {
  readonly caller: boolean;
  readonly method: boolean;
}

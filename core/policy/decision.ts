/** The decisions of policy. */

/** The decision of policy about one call. Every decision names its rule. */
export interface Decision {
  readonly allow: boolean;
  /**
   * The rule that decided, such as "checkout-charges/allow[0]" or "default-deny". For operators; never for the caller.
   */
  readonly rule: string;
  /** One line for operators. */
  readonly reason: string;
}

/** Whether a caller may call a method, as far as the pair alone decides. */
export interface Access {
  readonly kind: "allowed" | "conditional" | "denied";
  /** The rule that allows or denies; of a conditional access, the first rule that may allow the call. */
  readonly rule: string;
  /** A CEL condition that is true exactly for the allowed calls; "" if the access is not conditional. */
  readonly condition: string;
}

/**
 * Whether the caller and the method of a question stand for themselves only. Where one stands for others too,
 * conditions on it are left open.
 */
export interface SubjectKnowledge {
  readonly caller: boolean;
  readonly method: boolean;
}

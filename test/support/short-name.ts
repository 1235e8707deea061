import fc from "fast-check";

/** Names of one to three letters. It is made once: reading the pattern takes fast-check ten times as long as drawing a policy. */
export const shortName = fc.stringMatching(/^[a-z]{1,3}$/);

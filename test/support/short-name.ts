import fc from "fast-check";

/**
 * Generates names of one to three letters. Created once: parsing the pattern takes fast-check ten times as long as
 * drawing a policy.
 */
export const shortName = fc.stringMatching(/^[a-z]{1,3}$/);

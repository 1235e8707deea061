/** Names in policy: of objects, versions, methods and callers. */
import { isLabel } from "../identity.js";
import { isCaller, isClientName, isMethod, isMethodPattern, isVersion } from "../snapshot/grammar.js";
import { textSet } from "./list.js";
import { text } from "./types.js";

const labelPattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const identifierPath = "[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*";

/** Returns a hint for a method with a slash in front, which people write because HTTP paths have one. */
const slashHint = (value: string): string =>
  value.startsWith("/") && isMethodPattern(value.slice(1)) ? `write it as ${JSON.stringify(value.slice(1))}` : "";

/** The name of an object: an RFC 1123 label. */
export const label = text({
  expected: "a name of 1 to 63 of a-z, 0-9 and -",
  pattern: labelPattern,
  valid: isLabel,
  hint: (value) => (isLabel(value.toLowerCase()) ? "names are lower case" : ""),
});

/** A version, as a join token states it. */
export const version = text({
  expected: "a version: 1 to 63 of A-Z, a-z, 0-9, dot, _ and -",
  pattern: "^[A-Za-z0-9._-]{1,63}$",
  valid: isVersion,
});

/** A method: "package.Service/Method". */
export const method = text({
  expected: "a method: package.Service/Method",
  pattern: `^${identifierPath}/[A-Za-z_]\\w*$`,
  valid: isMethod,
  hint: slashHint,
});

/** A method in files: "package.Service/Method", or "package.Service/*" for all methods that a descriptor lists. */
export const statedMethod = text({
  expected: 'a method: package.Service/Method, or "package.Service/*" where a descriptor says which',
  pattern: `^${identifierPath}/(\\*|[A-Za-z_]\\w*)$`,
  valid: (value) => value !== "*" && isMethodPattern(value),
  hint: slashHint,
});

const methodPattern = text({
  expected: 'a method, "package.Service/*" or "*"',
  pattern: `^(\\*|${identifierPath}/(\\*|[A-Za-z_]\\w*))$`,
  valid: isMethodPattern,
  hint: slashHint,
});

/** A caller: the name of a service of the mesh, "gateway/NAME", a SPIFFE ID in full, or "*". */
export const caller = text({
  expected: 'a service\'s name, "gateway/NAME", a SPIFFE ID in full, or "*"',
  pattern: `^(\\*|(gateway/)?${labelPattern.slice(1, -1)}|spiffe://.+)$`,
  valid: isCaller,
});

const client = text({
  expected: 'an outside client: the URI of its certificate, or "sha256:" and 64 digits of its public key\'s hash',
  pattern: "^(sha256:[0-9a-f]{64}|[a-z][a-z0-9+.-]*:[!-~]+)$",
  valid: isClientName,
  hint: (value) => (/[A-Z]/.test(value) && isClientName(value.toLowerCase()) ? "digits are lower case" : ""),
});

/** Names of outside clients, at least one. */
export const clients = textSet(client, { whenEmpty: "name clients, or leave it out for any", neverEmpty: true });

/** Methods; an empty list means all methods. */
export const methodPatterns = textSet(methodPattern, { whenEmpty: "leave it out for all methods" });

const whenNobody = 'name callers, or "*" for any authenticated identity';
/** Callers, at least one. */
export const callers = textSet(caller, { whenEmpty: whenNobody, neverEmpty: true });
/** Callers; an empty list means any caller. */
export const callersOrAny = textSet(caller, { whenEmpty: whenNobody });

/** A reader of a journal, by name: "*" would give the writes of a service to everybody with an identity. */
const reader = text({
  expected: "a service's name, or a SPIFFE ID in full",
  pattern: `^(${labelPattern.slice(1, -1)}|spiffe://.+)$`,
  valid: (value) => isCaller(value) && value !== "*" && !value.startsWith("gateway/"),
  hint: (value) => (value === "*" ? "name each reader" : ""),
});

/** Names of operators, at least one. */
export const operatorNames = textSet(label, { whenEmpty: "leave it out for nobody", neverEmpty: true });

/** Those who may read the events of a journal, at least one. */
export const readers = textSet(reader, { whenEmpty: "leave it out for nobody", neverEmpty: true });

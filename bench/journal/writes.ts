/**
 * The kinds of writes that are compared. Each has its policy, and the method by which the application does the same
 * itself.
 */
import { meshPolicy } from "../proxy/mesh.js";

export interface WriteKind {
  readonly name: string;
  readonly policy: string;
  readonly method: "Call" | "One" | "Two";
}

const methods = "[bench.Echo/Call, bench.Echo/One, bench.Echo/Two]";
const plain = meshPolicy.replaceAll("[bench.Echo/Call]", methods);
const journal = (more: string, service = "echo"): string => `${plain}---
kind: Journal
name: ${service}-writes
service: ${service}
mode: before
${more}`;
const withKeys = `methods: [bench.Echo/Call]
idempotencyKey: request.headers["traceparent"]
rememberKeys: 2m
response: bytes
`;

/** The kinds in order: a row with the journal follows the row that it is compared with. */
export const writeKinds: readonly WriteKind[] = [
  { name: "no journal", policy: plain, method: "Call" },
  { name: "no journal, beside one", policy: journal("methods: [bench.Echo/One]\nresponse: digest\n"), method: "Call" },
  { name: "one append by the application", policy: plain, method: "One" },
  { name: "unkeyed", policy: journal("methods: [bench.Echo/Call]\nresponse: digest\n"), method: "Call" },
  { name: "two appends by the application", policy: plain, method: "Two" },
  { name: "keyed", policy: journal(withKeys), method: "Call" },
];

/** The row that each row is compared with. */
export const comparedWith: ReadonlyMap<string, string> = new Map([
  ["no journal, beside one", "no journal"],
  ["unkeyed", "one append by the application"],
  ["keyed", "two appends by the application"],
]);

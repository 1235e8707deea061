/**
 * Refusals that a gateway makes before any service is asked, and how another version of the gateway's policy would
 * decide them.
 */
import type { EdgeCallers, EdgeListener, EdgeProtocol, Gateway } from "../kinds/gateway/gateway.js";
import { compileGateway } from "../policy/compiled-gateway.js";
import { headerNames } from "../wire/headers.js";
import type { DecisionRecord, RefusalCount, Verdict } from "./decision-record.js";
import type { Redecided, Undecidable } from "./redecided.js";

/** The part of a listener that refuses. A record's rule is "LISTENER/PART". */
export type EdgePart = "expose" | "protocols" | "callers.certificate" | "callers.token" | `limits.${EdgeLimitName}`;

/** A limit by which calls are refused. */
export type EdgeLimitName = "callsPerAddress" | "callsPerToken" | "kibPerAddress" | "kibPerToken";

export function renderEdgeRule(listener: string, part: EdgePart): string {
  return `${listener}/${part}`;
}

/**
 * Decides a call again that a gateway refused. `gateway`: the gateway's policy to decide by; undefined: the policy has
 * no such gateway.
 */
export function redecideAtEdge(record: DecisionRecord, gateway: Gateway | undefined): Redecided | Undecidable {
  const { method, rule, protocol = "grpc", inputs } = record;
  const { name, part } = partsOf(rule);
  const found = gateway && compileGateway(gateway).get(name);
  const say = (verdict: Verdict, by: string, reason: string): Redecided => {
    return { kind: "decided", verdict, rule: `${name}/${by}`, reason, version: "", method };
  };
  if (found === undefined) return say("denied", "expose", `the policy has no listener ${name} of this gateway`);
  const { listener } = found;
  if (isLimit(listener, part)) return say("limited", part, "what its limit said stands");
  const service = found.find(method);
  if (service === undefined) return say("denied", "expose", `the listener ${name} does not expose the method`);
  if (!listener.protocols.includes(protocol as EdgeProtocol))
    return say("denied", "protocols", `the listener ${name} does not speak ${protocol}`);
  const client = inputs.headers.find((header) => header.name === headerNames.client)?.content.state;
  const proof = lackOf(listener.callers, client, inputs.issuer, part);
  if (proof === "undecidable") return { kind: "undecidable", unknown: ["what the client can prove"] };
  if (proof !== undefined) return say("unauthenticated", proof, "the proof that the listener asks for is not there");
  return say("allowed", "expose", `the gateway lets it in, and ${service} decides`);
}

/** Decides counted refusals of a gateway again, of which only the method is known. */
export function redecideCountedAtEdge(
  { method, rule, verdict }: RefusalCount,
  gateway: Gateway,
): Redecided | Undecidable {
  const { name, part } = partsOf(rule);
  const found = compileGateway(gateway).get(name);
  const { listener } = found ?? {};
  const stands =
    part === "expose"
      ? method !== "" && found?.find(method) === undefined
      : listener !== undefined && stays(listener, part);
  return stands
    ? { kind: "decided", verdict, rule, reason: "what it said stands", version: "", method }
    : { kind: "undecidable", unknown: ["what the client can prove"] };
}

/** Says in words which part of policy would have to change for the call to be allowed. */
export function changeAtEdge({ method, protocol = "grpc" }: DecisionRecord, gateway: string, rule: string): string {
  const { name, part } = partsOf(rule);
  return part === "protocols"
    ? `add ${protocol} to the protocols of listener ${name} of ${gateway}`
    : `add ${method} to what listener ${name} of ${gateway} exposes`;
}

function partsOf(rule: string): { readonly name: string; readonly part: string } {
  const at = rule.indexOf("/");
  return { name: rule.slice(0, Math.max(0, at)), part: rule.slice(at + 1) };
}

function isLimit({ limits }: EdgeListener, part: string): boolean {
  if (limits === undefined || !part.startsWith("limits.")) return false;
  return Object.entries(limits).some(([name, limit]) => limit !== undefined && `limits.${name}` === part);
}

function stays(listener: EdgeListener, part: string): boolean {
  const { callers } = listener;
  if (part === "callers.certificate") return callers.certificate === true;
  return part === "callers.token" ? callers.token !== undefined : isLimit(listener, part);
}

/**
 * Returns the proof of identity that the listener asks for and the call lacks. `client` and `issuer`: the client's name
 * and the token's issuer, as far as they were recorded.
 */
function lackOf(
  { certificate, token }: EdgeCallers,
  client: string | undefined,
  issuer: { readonly name: string | undefined } | undefined,
  part: string,
): "callers.certificate" | "callers.token" | "undecidable" | undefined {
  if (certificate === true) {
    if (client === undefined) return "undecidable";
    if (client === "missing") return "callers.certificate";
  }
  if (token === undefined) return undefined;
  if (issuer?.name !== undefined && token.includes(issuer.name)) return undefined;
  return issuer !== undefined || part === "callers.token" ? "callers.token" : "undecidable";
}

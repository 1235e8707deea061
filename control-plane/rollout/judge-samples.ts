/** Judges whether enough of the calls were seen that a change affects, and which are missing. Pure. */
import type { AffectedCalls } from "../../core/rollout/affected-calls.js";
import type { PartEvidence, StageEvidence } from "./stage-evidence.js";

export interface SamplesFigure {
  readonly gate: "samples";
  readonly outcome: "passes" | "holds";
  readonly text: string;
}

const namedMax = 5;

/**
 * Judges the samples of a stage. Each part of the change with members in the cohort needs calls. A stage without
 * members on any affected side has shown nothing. Before everyone gets the candidate, no part with live proxies may be
 * unseen.
 */
export function judgeSamples(
  { parts }: Pick<StageEvidence, "parts">,
  {
    wanted,
    isLastLook,
    candidate,
  }: { readonly wanted: number; readonly isLastLook: boolean; readonly candidate: number },
): SamplesFigure {
  if (wanted === 0) return passes("no calls are asked for");
  if (parts === undefined)
    return holds([`what revision ${candidate} changes is not known yet: its units are being read`]);
  const seen = parts.filter(({ about, deciding }) => !about.isNew && deciding > 0);
  if (seen.length === 0) return passes(renderNothing(parts, candidate));
  const lacking = seen.filter(({ cohort, compared }) => cohort.calls < wanted || compared.calls < wanted);
  const without = seen.filter(({ members }) => members.length === 0);
  const open =
    isLastLook || without.length === seen.length ? lacking : lacking.filter((part) => !without.includes(part));
  if (open.length > 0) return holds(open.map((part) => renderLacking(part, wanted)));
  return passes(seen.map(renderSeen).slice(0, namedMax).join("; "));
}

function passes(text: string): SamplesFigure {
  return { gate: "samples", outcome: "passes", text };
}

function holds(lacking: readonly string[]): SamplesFigure {
  const more = lacking.length > namedMax ? [`and ${lacking.length - namedMax} more`] : [];
  const text = [...lacking.slice(0, namedMax), ...more].join("; ");
  return { gate: "samples", outcome: "holds", text: `${text}; \`ashlar rollout advance\` goes on without` };
}

function renderNothing(parts: readonly PartEvidence[], candidate: number): string {
  if (parts.length === 0) return `no call fares differently under revision ${candidate}: there is nothing to count`;
  return parts
    .slice(0, namedMax)
    .map(
      ({ about }) =>
        `${renderAbout(about)}: ${about.isNew ? "the service is new" : "no live proxy makes them or decides about them"}`,
    )
    .join("; ");
}

function renderLacking({ about, members, untold, cohort, compared }: PartEvidence, wanted: number): string {
  const what = renderAbout(about);
  if (members.length === 0) return `${what}: no proxy that decides about them is in the cohort`;
  const text = `${what}: ${cohort.calls} of ${wanted} judged by members, ${compared.calls} of ${wanted} to compare with`;
  const [first] = untold;
  if (first === undefined) return text;
  const by = about.side === "destination" && about.callers !== undefined ? "caller" : "method";
  return `${text}; ${first.heartbeat.proxyId} does not tell its calls by ${by}: it is of an earlier version`;
}

function renderSeen({ about, members, cohort, compared }: PartEvidence): string {
  if (members.length === 0) return `${renderAbout(about)}: not in the cohort yet`;
  return `${renderAbout(about)}: ${cohort.calls} judged by members, ${compared.calls} to compare with`;
}

/**
 * Returns a text such as "calls to echo (test.Echo/Unary)", "calls to echo from front (test.Echo/Unary)" or "calls of
 * front to echo (*)".
 */
export function renderAbout({ side, service = "every service", methods, callers }: AffectedCalls): string {
  const what = renderSome(methods);
  const who = callers === undefined ? undefined : renderSome(callers);
  if (side === "caller") return `calls of ${who ?? "any service"} to ${service} (${what})`;
  return who === undefined ? `calls to ${service} (${what})` : `calls to ${service} from ${who} (${what})`;
}

function renderSome(texts: readonly string[]): string {
  const shown = texts.slice(0, namedMax).join(", ");
  return texts.length > namedMax ? `${shown} and ${texts.length - namedMax} more` : shown;
}

/** Where calls of a journaled service are sent that change nothing. */
import { renderDuration } from "../../duration.js";
import type { Label } from "../../label.js";
import type { Shape } from "../../snapshot/shapes.js";
import { isMap } from "../../snapshot/yaml-nodes.js";
import type { PolicyChecker } from "../checker.js";
import { maybe, optional, type RecordOf, record } from "../record.js";
import { refineTarget, renderTarget, targetFields, whyNoTarget } from "../route/targets.js";
import { type Type, writtenAs } from "../type.js";
import { duration, oneOf } from "../types.js";

const waitMsOr = 1000;
const replicaFields = {
  ...targetFields,
  waitMs: optional(
    2,
    duration({ bounds: "from 1ms to 30s", msMin: 1, msMax: 30_000, whenShort: "1ms is the shortest" }),
    waitMsOr,
    "How long a read waits at a replica for the write that it names; then it goes to the primary.",
    { name: "wait" },
  ),
};

const readsFields = {
  ...replicaFields,
  way: maybe(4, oneOf({ direct: 1 }), "direct: also without the caller's proxy, to any instance that calls go to."),
};

/** The instances that reads go to, and how long a read waits there for a write; or that reads may go there directly. */
export interface JournalReads extends RecordOf<typeof readsFields> {}

const replica = record("a replica", replicaFields, {
  why: (value) => whyNoTarget(value),
  refine: (found, field, reading) => refineTarget(found, field, reading),
});

const reads = record("reads", readsFields, { why: (value) => whyNoReads(value) });

function whyNoReads({ way, ...named }: JournalReads): string | undefined {
  if (way === undefined) return whyNoTarget(named);
  const { version, labels = [], waitMs } = named;
  return version === "" && labels.length === 0 && waitMs === waitMsOr ? undefined : "direct reads name no instances";
}

const directReads: JournalReads = Object.freeze({ version: "", waitMs: waitMsOr, way: "direct" });

/** In files the replica has a key of its own, so that other ways of reading can be added beside it. */
const forms = record("reads", { replica: maybe(1, replica, "Instances that reads go to.") });

const expected = "proxied, direct, or { replica: { version: V, labels: { KEY: VALUE }, wait: 1s } }";

const written: Shape<JournalReads> = {
  expected,
  schema: {
    anyOf: [
      { enum: ["proxied", "direct"] },
      {
        type: "object",
        properties: { replica: replica.shape.schema },
        required: ["replica"],
        additionalProperties: false,
      },
    ],
  },
  fields: {
    replica: { shape: replica.shape, required: true, missing: undefined, about: "Instances that reads go to." },
  },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    const place = reading.place(found ?? node, field);
    if (isMap(found)) return forms.shape.read(found, field, reading)?.replica;
    const text = found === null ? "" : String((found as { readonly value?: unknown }).value);
    if (text === "proxied") return undefined; // as without the field
    if (text === "direct") return directReads;
    return reading.report(place, `expected ${expected}`);
  },
};

export const journalReads: Type<JournalReads> = writtenAs(reads, written, (value) =>
  value.way === undefined ? { replica: replica.render(value) } : value.way,
);

/** Reports reads that cannot be sent to the replica, and replicas that do not report what they have applied. */
export function checkReads(service: string, reads: JournalReads, checker: PolicyChecker): void {
  if (reads.way === undefined && whyNoTarget(reads) !== undefined) return; // the parser has reported it
  if (checker.noSideEffects(service).length === 0)
    checker.error(
      "reads",
      `no method of ${service} is marked noSideEffects, so there are no reads: list them in Service ${service}`,
    );
  if (reads.way === "direct") {
    checkDirect(service, checker);
    return;
  }
  checkPrimary(service, reads, checker);
  const there = checker.endpoints(service, reads);
  if (there === undefined) return;
  const name = renderTarget(reads);
  const silent = there.filter(({ reportsApplied }) => reportsApplied !== true);
  for (const { instance } of silent.slice(0, 5))
    checker.error(
      "reads",
      `the application of ${instance} (${name}) does not report what it has applied, so that nobody knows which writes its answers have in them: have it call mesh.applied() of the SDK, then publish this`,
    );
  if (there.length === 0)
    checker.warn(
      "reads",
      `no instance of ${service} (${name}) takes calls now, so nobody knows whether its application will report what it has applied; reads go to the primary until one is there`,
    );
}

/** Says what is given up, and refuses what a read would not get that it cannot do without. */
function checkDirect(service: string, checker: PolicyChecker): void {
  const rules = checker.routeRules(service);
  for (const { place, does } of rules)
    for (const needed of does.filter((one) => one === "rewrite" || one === "maxStaleness"))
      checker.error(
        "reads",
        `${place} has ${needed}, which only callers' proxies can do: a direct read would go on without it; say reads: proxied, or take ${needed} out`,
      );
  const lost = [...new Set(rules.flatMap(({ does }) => does))].sort();
  const named = lost.length === 0 ? "" : ` (of the Route of ${service}: ${lost.join(", ")})`;
  checker.warn(
    "reads",
    `direct reads of ${service} pass no proxy of their caller, so they go without its weights, retries, records and limits${named}; and each application that reads so holds a key that reads in its service's name for up to an hour if it is stolen`,
  );
}

/**
 * Reports a Route that sends calls to the replica: writes must go to other instances, and so must reads that the
 * replica cannot answer yet.
 */
function checkPrimary(service: string, reads: JournalReads, checker: PolicyChecker): void {
  const name = renderTarget(reads);
  const rules = checker.routeRules(service);
  const others = `a Route of ${service} has to send all calls to other instances than the replica (${name}): its writes, and the reads that the replica cannot answer yet`;
  if (!rules.some(({ isForAll }) => isForAll))
    checker.error("reads", `${others}; add a rule without match, with a split`);
  const there = new Set(checker.endpoints(service, reads)?.map(({ instance }) => instance));
  for (const { place, split, perTryTimeoutMs } of rules) {
    if (perTryTimeoutMs > 0 && perTryTimeoutMs <= reads.waitMs)
      checker.error(
        "reads",
        `a try by ${place} ends after ${renderDuration(perTryTimeoutMs)}, before a read has waited for ${renderDuration(reads.waitMs)}, and does not go to the primary then: make the wait shorter than perTryTimeout`,
      );
    if (split.length === 0) checker.error("reads", `${others}; ${place} has no split`);
    for (const target of split) {
      if (target.weight === 0) continue;
      const sent = checker.endpoints(service, target)?.find(({ instance }) => there.has(instance));
      if (hasAllOf(target, reads)) checker.error("reads", `${others}; ${place} sends calls to it`);
      else if (sent !== undefined)
        checker.error("reads", `${others}; ${place} sends calls to ${sent.instance}, which is of it`);
    }
  }
}

/** Returns whether every instance that `part` names is also named by `target`. */
function hasAllOf(target: Pick<JournalReads, "version" | "labels">, part: typeof target): boolean {
  if (target.version !== "" && target.version !== part.version) return false;
  const isSaid = (wanted: Label): boolean =>
    part.labels?.some(({ key, value }) => key === wanted.key && value === wanted.value) === true;
  return (target.labels ?? []).every(isSaid);
}

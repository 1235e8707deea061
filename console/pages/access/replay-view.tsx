/** Decides recorded calls again under a candidate and shows which would come out differently. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import { follow } from "../../api/events.js";
import { counted, renderCount } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import { Command, Field, Select } from "../../parts/controls.js";
import { Empty, Notice } from "../../parts/states.js";
import { Badge } from "../../parts/words.js";
import { problemOf } from "../../state/loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { addRecorded, type Flip, isFlip, noneRecorded, type Recorded, requestOf } from "./replay.js";

const spans = [
  ["900000", "15 minutes"],
  ["3600000", "hour"],
  ["86400000", "day"],
] as const;

interface Result {
  readonly recorded: Recorded;
  readonly judged: number;
  readonly flips: readonly Flip[];
  readonly state: "reading" | "judging" | "done" | "failed";
  readonly problem: string;
}

export function ReplayView({ services }: { readonly services: readonly string[] }) {
  const { status } = useMesh();
  const [candidate, setCandidate] = useState(String(status.value?.headRevision ?? ""));
  const [service, setService] = useState("");
  const [span, setSpan] = useState<string>(spans[1][0]);
  const [result, start] = useReplay();
  const number = Number(candidate);
  const minutes = Math.round(Number(span) / 60_000);
  return (
    <>
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          start(number, service, Number(span));
        }}
      >
        <Field label="Candidate revision" value={candidate} onChange={setCandidate} required />
        <Select
          label="Service"
          value={service}
          onChange={setService}
          options={[["", "all services"], ...services.map((name) => [name, name] as const)]}
        />
        <Select label="Calls of the last" value={span} onChange={setSpan} options={spans} />
        <button type="submit" class="button primary low" disabled={!Number.isInteger(number) || number < 1}>
          Replay
        </button>
      </form>
      {result && <Replayed result={result} candidate={number} />}
      <p class="quiet">
        The control plane decides each recorded kind of call again, by caller, method, headers and claims. Where
        conditions read the caller's address, labels or the time, the exact answer is that of the command line:
      </p>
      <Command
        line={`ashlar replay --candidate ${number || "N"} --since ${minutes}m${service ? ` --service ${service}` : ""}`}
      />
    </>
  );
}

/** Reads the recorded decisions, then asks about each kind of call, one after the other. */
function useReplay(): readonly [Result | undefined, (candidate: number, service: string, spanMs: number) => void] {
  const [result, setResult] = useState<Result>();
  const stop = useRef<() => void>(() => undefined);
  useEffect(() => () => stop.current(), []);
  const start = (candidate: number, service: string, spanMs: number): void => {
    stop.current();
    const ended = new AbortController();
    let recorded = noneRecorded;
    const say = (next: Partial<Result>): void => {
      if (!ended.signal.aborted) setResult((before) => ({ ...(before ?? empty), ...next }));
    };
    setResult(empty);
    const unfollow = follow(
      "ListDecisions",
      { service, sinceMs: String(Date.now() - spanMs) },
      {
        onEvent: ({ batch }) => {
          if (batch !== undefined) recorded = addRecorded(recorded, batch);
          say({ recorded });
        },
        onEnd: (problem) => {
          if (problem !== undefined) say({ state: "failed", problem });
          else void judge(recorded, candidate, say, ended.signal);
        },
      },
    );
    stop.current = () => {
      ended.abort();
      unfollow();
    };
  };
  return [result, start];
}

const empty: Result = { recorded: noneRecorded, judged: 0, flips: [], state: "reading", problem: "" };

async function judge(
  recorded: Recorded,
  candidate: number,
  say: (next: Partial<Result>) => void,
  signal: AbortSignal,
): Promise<void> {
  const flips: Flip[] = [];
  let judged = 0;
  try {
    for (const asked of recorded.asked) {
      if (signal.aborted) return;
      say({ state: "judging", judged });
      const answer = await call("CheckAccess", requestOf(asked.decision, candidate), signal);
      if (isFlip(asked, answer)) flips.push({ asked, answer });
      judged += 1;
    }
    say({ state: "done", judged, flips });
  } catch (error) {
    say({ state: "failed", problem: problemOf(error).message, judged, flips });
  }
}

function Replayed({ result, candidate }: { readonly result: Result; readonly candidate: number }) {
  const { recorded, judged, flips, state, problem } = result;
  if (state === "failed")
    return (
      <Notice tone="bad" title="The replay ended early">
        <p>{problem}</p>
      </Notice>
    );
  if (state !== "done")
    return (
      <p aria-live="polite">
        {state === "reading"
          ? `Reading: ${counted(recorded.calls, "recorded call")}`
          : `Deciding again: ${renderCount(judged)} of ${renderCount(recorded.asked.length)} kinds of calls`}
      </p>
    );
  const calls = flips.reduce((sum, { asked }) => sum + asked.count, 0);
  return (
    <div class="stack" aria-live="polite">
      <p>
        {counted(recorded.calls, "recorded call")} of {counted(judged, "kind")}: revision {candidate} would decide{" "}
        <b>{renderCount(calls)}</b> otherwise.
        {recorded.leftOff > 0 && ` ${counted(recorded.leftOff, "call")} of further kinds were not asked.`}
      </p>
      {flips.length === 0 ? (
        <Empty icon="check" title={recorded.calls === 0 ? "Nothing was recorded" : "Every call comes out the same"} />
      ) : (
        <FlipTable flips={flips} />
      )}
    </div>
  );
}

function FlipTable({ flips }: { readonly flips: readonly Flip[] }) {
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Caller</th>
            <th scope="col">Method</th>
            <th scope="col">Would be</th>
            <th scope="col" class="end">
              Calls
            </th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          {flips.map(({ asked, answer }) => (
            <tr key={asked.key}>
              <th scope="row">{clip(shortIdentity(asked.decision.caller), 80)}</th>
              <td class="wrap">
                <code>{clip(asked.decision.method, 120)}</code>
              </td>
              <td>
                <Badge tone={answer.allowed ? "ok" : "bad"}>{answer.allowed ? "allowed" : "denied"}</Badge>
              </td>
              <td class="end">{renderCount(asked.count)}</td>
              <td class="wrap">
                <code>{clip(answer.rule, 120)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

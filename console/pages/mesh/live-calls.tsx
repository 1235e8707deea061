/** Shows calls of one line live, once a user asks for it. Asking is noted in the audit log. */
import { useEffect, useState } from "preact/hooks";
import { follow } from "../../api/events.js";
import { counted, renderMs } from "../../format/amounts.js";
import { renderCode, toneOfCode } from "../../format/codes.js";
import { clip, shortMethod } from "../../format/names.js";
import { renderClock } from "../../format/times.js";
import { Icon } from "../../parts/icon.js";
import { Badge } from "../../parts/words.js";
import { renderPlace } from "../../state/place.js";
import { addCalls, noCalls, type Tapped } from "./tapped-calls.js";

interface LiveCallsProps {
  readonly caller: string;
  readonly service: string;
}

export function LiveCalls({ caller, service }: LiveCallsProps) {
  const [watching, setWatching] = useState(false);
  const [tapped, setTapped] = useState<Tapped>(noCalls);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    if (!watching) return;
    setProblem("");
    return follow(
      "TapCalls",
      { filter: { service, caller } },
      {
        onEvent: (batch) => setTapped((before) => addCalls(before, batch)),
        onEnd: (why) => {
          setWatching(false);
          setProblem(why ?? "");
        },
      },
    );
  }, [watching, caller, service]);
  return (
    <div class="stack">
      <div class="row">
        <h3>Calls one by one</h3>
        <button type="button" class="button small" aria-pressed={watching} onClick={() => setWatching(!watching)}>
          <Icon name={watching ? "pause" : "play"} />
          {watching ? "Stop" : "Watch live"}
        </button>
      </div>
      {problem && <p class="bad-text wrap">{problem}</p>}
      {watching && tapped.calls.length === 0 && <p class="quiet">Waiting for the next call…</p>}
      <ul>
        {tapped.calls.map((call) => (
          <li key={call.key} class="tapped">
            <span class="quiet number">{renderClock(call.timeMs)}</span>
            <Badge tone={toneOfCode(call.code)}>{renderCode(call.code)}</Badge>
            <code title={call.method}>{clip(shortMethod(call.method), 32)}</code>
            <span class="number">{renderMs(call.tookMs)}</span>
            {call.decision && (
              <a href={renderPlace({ page: "access", item: call.decision, filters: { view: "explain" } })}>why</a>
            )}
          </li>
        ))}
      </ul>
      {tapped.dropped > 0 && <p class="quiet">{counted(tapped.dropped, "call was", "calls were")} too many to tell.</p>}
    </div>
  );
}

/** Shows what proxies lately refused between two services, each refusal with its reason. */
import { useEffect, useState } from "preact/hooks";
import { follow } from "../../api/events.js";
import { counted } from "../../format/amounts.js";
import { renderVerdict } from "../../format/codes.js";
import { clip, shortMethod } from "../../format/names.js";
import { Ago, Badge } from "../../parts/words.js";
import { useMesh, useNow } from "../../state/use-mesh.js";
import { addRefusals, explainRefusal, type Refusals as Known, noRefusals } from "./refusal-list.js";

const lookBackMs = 900_000;

interface RefusalsProps {
  readonly caller: string;
  readonly service: string;
}

export function Refusals({ caller, service }: RefusalsProps) {
  const { session } = useMesh();
  const nowMs = useNow();
  const [known, setKnown] = useState<Known>(noRefusals);
  const [ended, setEnded] = useState<string>();
  useEffect(() => {
    setKnown(noRefusals);
    setEnded(undefined);
    const request = { service, refused: true, sinceMs: String(Date.now() - lookBackMs) };
    return follow("ListDecisions", request, {
      onEvent: ({ batch }) => {
        if (batch !== undefined) setKnown((before) => addRefusals(before, batch, caller, session.mesh));
      },
      onEnd: (problem) => setEnded(problem ?? ""),
    });
  }, [caller, service, session.mesh]);
  const { shown, counts, more } = known;
  return (
    <div class="stack">
      <h3>Refused in the last 15 minutes</h3>
      {ended === undefined && shown.length + counts.length === 0 && <p class="quiet">Looking…</p>}
      {ended === "" && shown.length + counts.length === 0 && <p class="quiet">Nothing that is recorded.</p>}
      {ended && <p class="bad-text wrap">{ended}</p>}
      <ul class="stack">
        {shown.map((refusal) => (
          <li key={refusal.id} class="rule">
            <div class="row">
              <Badge tone={renderVerdict(refusal.verdict).tone}>{renderVerdict(refusal.verdict).word}</Badge>
              <code title={refusal.method}>{clip(shortMethod(refusal.method), 40)}</code>
              <span class="quiet">
                <Ago timeMs={refusal.timeMs} nowMs={nowMs} />
              </span>
            </div>
            <p class="wrap">{explainRefusal(refusal)}</p>
            {refusal.id && <a href={`#/access/${encodeURIComponent(refusal.id)}?view=explain`}>Explain this call</a>}
          </li>
        ))}
        {counts.map((count) => (
          <li key={`${count.method} ${count.rule} ${count.fromMs}`} class="wrap">
            <Badge tone="bad">{counted(count.count, "more call")}</Badge> {clip(count.method || "of other methods", 80)}{" "}
            by <code>{clip(count.rule, 80)}</code>
          </li>
        ))}
      </ul>
      {more > 0 && <p class="quiet">and {counted(more, "older one", "older ones")}</p>}
    </div>
  );
}

/** Shows the timeline: revisions as stones of a wall, the newest on top, with the activations between them. */
import type { RevisionInfo } from "../../api/messages.js";
import { clip } from "../../format/names.js";
import { renderClock } from "../../format/times.js";
import { Badge, Dot, Mark, Who } from "../../parts/words.js";
import { type Day, describeActivation } from "./timeline.js";

interface TimelineProps {
  readonly days: readonly Day[];
  readonly chosen: number;
}

export function Timeline({ days, chosen }: TimelineProps) {
  return (
    <div class="timeline">
      {days.map((day) => (
        <section key={day.name} aria-label={day.name}>
          <h3 class="timeline-day">{day.name}</h3>
          <ol>
            {day.entries.map((entry) =>
              entry.kind === "revision" ? (
                <Stone key={`r${entry.revision.number}`} revision={entry.revision} chosen={chosen} />
              ) : (
                <li key={`e${entry.activation.epoch}`} class="timeline-activation">
                  <Dot tone={describeActivation(entry.activation).tone} />
                  <div>
                    <a href={`#/revisions/${entry.activation.revision}?view=history`}>
                      {describeActivation(entry.activation).word}
                    </a>
                    <div class="quiet wrap">
                      epoch {entry.activation.epoch} · {renderClock(entry.timeMs)} ·{" "}
                      <Who id={entry.activation.author} />
                      {entry.activation.reason && `: ${clip(entry.activation.reason, 140)}`}
                    </div>
                  </div>
                </li>
              ),
            )}
          </ol>
        </section>
      ))}
    </div>
  );
}

function Stone({ revision, chosen }: { readonly revision: RevisionInfo; readonly chosen: number }) {
  const { number, digest, message, author, timeMs, active, changedUnits } = revision;
  return (
    <li>
      <a
        class="stone"
        href={`#/revisions/${number}`}
        aria-current={number === chosen ? "true" : undefined}
        aria-label={`Revision ${number}: ${message}`}
      >
        <Mark digest={digest} />
        <div>
          <strong>
            {number} <span class="wrap">{clip(message, 120) || "no message"}</span>
          </strong>
          <div class="quiet">
            <Who id={author} /> · {renderClock(timeMs)}
            {changedUnits.length > 0 && ` · ${clip(changedUnits.join(", "), 60)}`}
          </div>
        </div>
        {active && <Badge tone="ok">active</Badge>}
      </a>
    </li>
  );
}

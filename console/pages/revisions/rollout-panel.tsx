/** Shows a rollout live: its stages, what each gate says, what it waits for, and the four actions. */
import { call } from "../../api/client.js";
import type { GateFigure, RolloutInfo } from "../../api/messages.js";
import { counted, renderMs } from "../../format/amounts.js";
import { renderTime } from "../../format/times.js";
import { Empty, Notice, Shown } from "../../parts/states.js";
import { Badge, Who } from "../../parts/words.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh, useNow } from "../../state/use-mesh.js";
import { RolloutActions } from "./rollout-actions.js";
import { viewStages } from "./stages.js";

const everyMs = 1000;

export function RolloutPanel({ candidate }: { readonly candidate: number }) {
  const { turn } = useMesh();
  const load = async (signal: AbortSignal) =>
    (await call("ListRollouts", { limit: 100 }, signal)).rollouts.filter((rollout) => rollout.candidate === candidate);
  const [rollouts, again] = useLoaded(`rollouts ${candidate}`, load, { everyMs, when: [turn] });
  return (
    <Shown
      of={rollouts}
      what="the rollouts"
      again={again}
      isEmpty={(value) => value.length === 0}
      empty={
        <Empty icon="stairs" title="It was never rolled out in stages">
          Activate it in stages to see gates here.
        </Empty>
      }
    >
      {(value) => value.map((rollout) => <Rollout key={rollout.number} rollout={rollout} onDone={again} />)}
    </Shown>
  );
}

const tones = { running: "note", paused: "warn", done: "ok", "rolled-back": "bad" } as const;
const toneOf = (state: string) => (state in tones ? tones[state as keyof typeof tones] : "plain");

function Rollout({ rollout, onDone }: { readonly rollout: RolloutInfo; readonly onDone: () => void }) {
  const running = rollout.state === "running" || rollout.state === "paused";
  return (
    <article class="rollout">
      <div class="row">
        <h3>Rollout {rollout.number}</h3>
        <Badge tone={toneOf(rollout.state)}>{rollout.state}</Badge>
        <span class="quiet wrap">
          from revision {rollout.base} to {rollout.candidate}, begun by <Who id={rollout.author} /> at{" "}
          {renderTime(rollout.timeMs)}
          {rollout.reason && `: ${rollout.reason}`}
        </span>
      </div>
      <Stages rollout={rollout} />
      {running && (
        <>
          <Gates figures={rollout.figures} />
          {rollout.waitsFor.length > 0 && (
            <Notice tone="note" title="The stage waits for">
              <ul>
                {rollout.waitsFor.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
            </Notice>
          )}
          {rollout.about.length > 0 && (
            <Notice tone="warn" title="What the candidate may decide otherwise">
              <ul>
                {rollout.about.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
            </Notice>
          )}
          <RolloutActions rollout={rollout} onDone={onDone} />
        </>
      )}
      {rollout.endReason && (
        <Notice tone={rollout.state === "rolled-back" ? "bad" : "plain"} title={`Ended at epoch ${rollout.endEpoch}`}>
          <p>
            <Who id={rollout.endAuthor} />: {rollout.endReason}
          </p>
        </Notice>
      )}
    </article>
  );
}

function Stages({ rollout }: { readonly rollout: RolloutInfo }) {
  const nowMs = useNow(500);
  const stages = viewStages(rollout, nowMs);
  return (
    <ol class="stages" aria-label="Stages">
      {stages.map((stage, index) => (
        <li key={index} class={`stage-step ${stage.state}`} aria-current={stage.state === "now" ? "step" : undefined}>
          <div class="bar" aria-hidden="true">
            <i style={{ width: `${Math.round(stage.share * 100)}%` }} />
          </div>
          <strong>{stage.name}</strong>
          <span class="quiet">
            {stage.state === "now"
              ? `${counted(rollout.members, "member")}, for ${renderMs(Math.max(0, nowMs - rollout.stageSinceMs))}`
              : stage.state}
          </span>
        </li>
      ))}
    </ol>
  );
}

const outcomes = { passes: "ok", holds: "note", fails: "bad" } as const;

function Gates({ figures }: { readonly figures: readonly GateFigure[] }) {
  if (figures.length === 0) return null;
  return (
    <ul class="gates" aria-label="Gates">
      {figures.map((figure) => (
        <li key={figure.gate} class="gate">
          <Badge tone={figure.outcome in outcomes ? outcomes[figure.outcome as keyof typeof outcomes] : "plain"}>
            {figure.outcome}
          </Badge>
          <strong>{figure.gate}</strong>
          <span class="wrap">{figure.text.replaceAll(" %", "\u00a0%")}</span>
        </li>
      ))}
    </ul>
  );
}

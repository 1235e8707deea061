/** The actions on a running rollout: pause, resume, begin the next stage, end. */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { RolloutInfo } from "../../api/messages.js";
import { Field } from "../../parts/controls.js";
import { Dialog } from "../../parts/dialog.js";
import { Icon, type IconName } from "../../parts/icon.js";
import { Notice } from "../../parts/states.js";
import { problemOf } from "../../state/loaded.js";
import { mayChange } from "../../state/rights.js";
import { useMesh } from "../../state/use-mesh.js";
import { isConfirmed } from "./access-effect.js";

interface Action {
  readonly verb: string;
  readonly method: "PauseRollout" | "ResumeRollout" | "AdvanceRollout" | "AbortRollout";
  readonly icon: IconName;
  readonly effect: (rollout: RolloutInfo) => string;
}

const pause: Action = {
  verb: "pause",
  method: "PauseRollout",
  icon: "pause",
  effect: ({ stage }) => `It stays at stage ${stage}. A gate that fails rolls it back all the same.`,
};
const resume: Action = {
  verb: "resume",
  method: "ResumeRollout",
  icon: "play",
  effect: ({ stage }) => `Stage ${stage} holds anew, then the rollout goes on.`,
};
const advance: Action = {
  verb: "advance",
  method: "AdvanceRollout",
  icon: "stairs",
  effect: ({ stage, stages }) =>
    `Stage ${stage + 1} (${stages[stage] ?? "none"}) begins now, without what stage ${stage} still waits for.`,
};
const abort: Action = {
  verb: "abort",
  method: "AbortRollout",
  icon: "back",
  effect: ({ base }) => `Every proxy evaluates revision ${base} again, as a new epoch.`,
};

export function RolloutActions({ rollout, onDone }: { readonly rollout: RolloutInfo; readonly onDone: () => void }) {
  const { session } = useMesh();
  const [chosen, setChosen] = useState<Action>();
  const actions = [rollout.state === "paused" ? resume : pause, advance, abort];
  return (
    <div class="row">
      {actions.map((action) => (
        <button
          key={action.verb}
          type="button"
          class={action === abort ? "button danger" : "button"}
          disabled={!mayChange(session)}
          onClick={() => setChosen(action)}
        >
          <Icon name={action.icon} />
          {capital(action.verb)}
        </button>
      ))}
      {!mayChange(session) && <span class="quiet">This session may look and change nothing.</span>}
      {chosen && (
        <ActionDialog action={chosen} rollout={rollout} onDone={onDone} onClose={() => setChosen(undefined)} />
      )}
    </div>
  );
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

interface ActionDialogProps {
  readonly action: Action;
  readonly rollout: RolloutInfo;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

function ActionDialog({ action, rollout, onDone, onClose }: ActionDialogProps) {
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const expected = `${action.verb} ${rollout.number}`;
  const ready = isConfirmed(typed, expected) && reason.trim() !== "" && !busy;
  const submit = async (): Promise<void> => {
    if (!ready) return;
    setBusy(true);
    try {
      await call(action.method, { number: rollout.number, reason });
      onDone();
      onClose();
    } catch (error) {
      setProblem(problemOf(error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`${capital(action.verb)} rollout ${rollout.number}`}
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        <button type="submit" class={action === abort ? "button danger" : "button primary"} disabled={!ready}>
          {capital(action.verb)}
        </button>
      }
    >
      <p>{action.effect(rollout)}</p>
      <Field label="Why" value={reason} onChange={setReason} required />
      <Field label={`Type “${expected}” to confirm`} value={typed} onChange={setTyped} required />
      {problem && (
        <Notice tone="bad" title="Nothing was changed">
          <p>{problem}</p>
        </Notice>
      )}
    </Dialog>
  );
}

/**
 * Asks for confirmation before the mesh changes: it shows what changes for whom, and wants a reason and a typed word.
 */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { ProxyConvergence, RevisionInfo } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import { Check, Field } from "../../parts/controls.js";
import { Dialog } from "../../parts/dialog.js";
import { Notice, Shown } from "../../parts/states.js";
import { problemOf } from "../../state/loaded.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { confirmationOf, isConfirmed } from "./access-effect.js";
import { Effect } from "./diff-view.js";
import { parseStages, type StageRequest } from "./stages.js";

export type Change = "activate" | "stage" | "roll back";

const titles: Readonly<Record<Change, string>> = {
  activate: "Activate at once",
  stage: "Activate in stages",
  "roll back": "Roll back",
};

interface ChangeDialogProps {
  readonly change: Change;
  readonly revision: RevisionInfo;
  readonly onClose: () => void;
}

export function ChangeDialog({ change, revision, onClose }: ChangeDialogProps) {
  const { status, refresh } = useMesh();
  // What was the head when the dialog opened: if somebody else changes the mesh meanwhile, the control plane refuses.
  const [expectedEpoch] = useState(status.value?.epoch ?? 0);
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [stages, setStages] = useState("1, 25%:2m, 100%");
  const [endRollout, setEndRollout] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const parsed = parseStages(stages);
  const expected = confirmationOf(change, revision.number);
  const rollout = status.value?.rollout;
  const ready =
    isConfirmed(typed, expected) &&
    reason.trim() !== "" &&
    !busy &&
    (change !== "stage" || parsed.stages !== undefined);

  const submit = async (): Promise<void> => {
    if (!ready) return;
    setBusy(true);
    setProblem("");
    try {
      await send(change, { revision: revision.number, reason, expectedEpoch, endRollout, stages: parsed.stages });
      refresh();
      onClose();
    } catch (error) {
      setProblem(problemOf(error).message);
      setBusy(false);
    }
  };

  return (
    <Dialog
      title={`${titles[change]}: revision ${revision.number}`}
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        <button type="submit" class={change === "roll back" ? "button danger" : "button primary"} disabled={!ready}>
          {busy ? "Waiting for the proxies…" : titles[change]}
        </button>
      }
    >
      <Preview revision={revision.number} change={change} />
      {rollout !== undefined && change !== "roll back" && (
        <Check
          label={`End rollout ${rollout.number}, which is at stage ${rollout.stage}`}
          checked={endRollout}
          onChange={setEndRollout}
        />
      )}
      {change === "stage" && (
        <Field
          label="Stages"
          value={stages}
          onChange={setStages}
          hint={
            parsed.problem ??
            "So many proxies, a share of them, or those with a label; :2m holds a stage for 2 minutes."
          }
        />
      )}
      <Field
        label="Why"
        value={reason}
        onChange={setReason}
        required
        hint="It stands in the log for ever, with your name."
      />
      <Field label={`Type “${expected}” to confirm`} value={typed} onChange={setTyped} required />
      <Problem text={problem} />
    </Dialog>
  );
}

function Problem({ text }: { readonly text: string }) {
  if (text === "") return null;
  return (
    <Notice tone="bad" title="Nothing was changed">
      <p>{text}</p>
    </Notice>
  );
}

interface Order {
  readonly revision: number;
  readonly reason: string;
  readonly expectedEpoch: number;
  readonly endRollout: boolean;
  readonly stages: readonly StageRequest[] | undefined;
}

async function send(change: Change, { revision, reason, expectedEpoch, endRollout, stages }: Order): Promise<void> {
  if (change === "roll back") {
    await call("Rollback", { to: String(revision), reason });
    return;
  }
  await call("ActivateRevision", {
    revision,
    reason,
    expectedEpoch: String(expectedEpoch),
    endRollout,
    ...(change === "stage" && { plan: { stages } }),
  });
}

function Preview({ revision, change }: { readonly revision: number; readonly change: Change }) {
  const load = async (signal: AbortSignal) => {
    const [diff, convergence] = await Promise.all([
      call("DiffRevisions", { to: { revision } }, signal),
      call("GetConvergence", { revision }, signal),
    ]);
    return { diff, proxies: convergence.proxies };
  };
  const [preview, again] = useLoaded(`preview ${revision}`, load);
  return (
    <Shown of={preview} what="what would change" again={again}>
      {({ diff, proxies }) => (
        <>
          <p>
            {counted(diff.objects.length, "object")} would change against the active revision
            {diff.objects.length > 0 &&
              `: ${diff.objects
                .slice(0, 6)
                .map(({ kind, name }) => `${kind} ${name}`)
                .join(", ")}`}
            {diff.objects.length > 6 && " …"}
          </p>
          <Effect access={diff.access} />
          <Prepared proxies={proxies} waits={change !== "roll back"} />
        </>
      )}
    </Shown>
  );
}

function Prepared({ proxies, waits }: { readonly proxies: readonly ProxyConvergence[]; readonly waits: boolean }) {
  const live = proxies.filter((proxy) => proxy.live);
  const prepared = live.filter((proxy) => proxy.prepared || proxy.active);
  const lacking = live.length - prepared.length;
  if (lacking === 0)
    return <p class="ok-text">{counted(live.length, "live proxy has", "live proxies have")} it prepared.</p>;
  return (
    <Notice tone="warn" title={`${counted(lacking, "live proxy has", "live proxies have")} not prepared it`}>
      <p>
        {waits
          ? "The activation waits up to 30 seconds for them, and is refused if they do not."
          : "A rollback waits for no one: they switch as soon as they have it."}
      </p>
    </Notice>
  );
}

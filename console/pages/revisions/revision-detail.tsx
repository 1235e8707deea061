/** Shows one revision: its policy, what it changed, when it was in force, and the actions on it. */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { ActivationInfo, RevisionInfo } from "../../api/messages.js";
import { noPolicyAtAll } from "../../api/no-policy.js";
import { Select, Tabs } from "../../parts/controls.js";
import { Icon } from "../../parts/icon.js";
import { Empty, Shown } from "../../parts/states.js";
import { Ago, Badge, Id, Mark, Who } from "../../parts/words.js";
import type { Place } from "../../state/place.js";
import { mayChange } from "../../state/rights.js";
import { useBroughtIntoView } from "../../state/use-brought-into-view.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh, useNow } from "../../state/use-mesh.js";
import { useFilter } from "../../state/use-place.js";
import { type Change, ChangeDialog } from "./change-dialog.js";
import { Diff } from "./diff-view.js";
import { History } from "./history.js";
import { RolloutPanel } from "./rollout-panel.js";

interface DetailProps {
  readonly revision: RevisionInfo;
  readonly activations: readonly ActivationInfo[];
  readonly place: Place;
}

type View = "changes" | "rollout" | "policy" | "history";

export function RevisionDetail({ revision, activations, place }: DetailProps) {
  const { status } = useMesh();
  const [view, setView] = useFilter(place, "view");
  const section = useBroughtIntoView<HTMLElement>(place.item);
  const rolled = activations.some((entry) => entry.rollout > 0 && entry.revision === revision.number);
  const running = status.value?.rollout?.candidate === revision.number;
  const tabs: readonly (readonly [View, string])[] = [
    ["changes", "Changes"],
    ...(rolled || running ? ([["rollout", running ? "Rollout, running" : "Rollout"]] as const) : []),
    ["policy", "Policy"],
    ["history", "In force"],
  ];
  const shown = tabs.find(([tab]) => tab === view)?.[0] ?? (running ? "rollout" : "changes");
  return (
    <section ref={section} class="card" aria-label={`Revision ${revision.number}`}>
      <RevisionHead revision={revision} />
      <Tabs label="What to see of the revision" tabs={tabs} chosen={shown} onChoose={setView} />
      <div role="tabpanel" class="card-body stack">
        {shown === "changes" && <Changes revision={revision} />}
        {shown === "rollout" && <RolloutPanel candidate={revision.number} />}
        {shown === "policy" && <Policy number={revision.number} />}
        {shown === "history" && <History revision={revision.number} activations={activations} />}
      </div>
    </section>
  );
}

function RevisionHead({ revision }: { readonly revision: RevisionInfo }) {
  const { status, session } = useMesh();
  const nowMs = useNow();
  const [change, setChange] = useState<Change>();
  const active = status.value?.revision ?? 0;
  const { number, message, author, timeMs, digest, parent, snapshot, approvals } = revision;
  return (
    <div class="card-body stack">
      <div class="revision-head">
        <Mark digest={digest} />
        <div>
          <h2 class="wrap">{message || "no message"}</h2>
          <p class="quiet">
            Revision {number} by <Who id={author} />, <Ago timeMs={timeMs} nowMs={nowMs} />
          </p>
        </div>
        {number === active && <Badge tone="ok">active</Badge>}
      </div>
      <div class="row">
        <span class="quiet">
          Record <Id id={digest} /> · snapshot <Id id={snapshot} /> · parent{" "}
          {number === 1 ? "none" : <a href={`#/revisions/${number - 1}`}>{number - 1}</a>} <Id id={parent} />
        </span>
        {approvals.map((approval) => (
          <Badge key={approval.operator} tone="ok">
            <Icon name="check" />
            approved by <Who id={approval.operator} />
          </Badge>
        ))}
      </div>
      {number !== active && (
        <div class="row">
          {number < active ? (
            <button
              type="button"
              class="button danger"
              disabled={!mayChange(session)}
              onClick={() => setChange("roll back")}
            >
              <Icon name="back" />
              Roll back to this
            </button>
          ) : (
            <>
              <button
                type="button"
                class="button primary"
                disabled={!mayChange(session)}
                onClick={() => setChange("stage")}
              >
                <Icon name="stairs" />
                Activate in stages
              </button>
              <button type="button" class="button" disabled={!mayChange(session)} onClick={() => setChange("activate")}>
                <Icon name="up" />
                Activate at once
              </button>
            </>
          )}
          {!mayChange(session) && <span class="quiet">This session may look and change nothing.</span>}
        </div>
      )}
      {change && <ChangeDialog change={change} revision={revision} onClose={() => setChange(undefined)} />}
    </div>
  );
}

function Changes({ revision }: { readonly revision: RevisionInfo }) {
  const { status } = useMesh();
  const active = status.value?.revision ?? 0;
  const [against, setAgainst] = useState<"parent" | "active">("parent");
  const from = against === "active" ? active : revision.number - 1;
  const load = (signal: AbortSignal) =>
    call(
      "DiffRevisions",
      // Revision 1 has no parent: it is compared with no policy at all.
      { from: from === 0 ? noPolicyAtAll : { revision: from }, to: { revision: revision.number } },
      signal,
    );
  const [diff, again] = useLoaded(`diff ${from} ${revision.number}`, load);
  return (
    <>
      <Select
        label="Compared with"
        value={against}
        onChange={(value) => setAgainst(value === "active" ? "active" : "parent")}
        options={[
          [
            "parent",
            revision.number === 1 ? "nothing: it is the first" : `its parent, revision ${revision.number - 1}`,
          ],
          ["active", active === 0 ? "nothing: none is active" : `the active revision, ${active}`],
        ]}
      />
      <Shown
        of={diff}
        what="the difference"
        again={again}
        isEmpty={({ objects, access }) => objects.length + access.length === 0}
        empty={
          <Empty icon="check" title="They say the same">
            Both have one policy, byte for byte.
          </Empty>
        }
      >
        {(value) => <Diff objects={value.objects} access={value.access} />}
      </Shown>
    </>
  );
}

function Policy({ number }: { readonly number: number }) {
  const load = async (signal: AbortSignal) => (await call("GetRevision", { number }, signal)).yaml;
  const [yaml, again] = useLoaded(`policy ${number}`, load);
  return (
    <Shown
      of={yaml}
      what="the policy"
      again={again}
      isEmpty={(value) => value.trim() === ""}
      empty={<Empty title="It has no object">A revision without policy denies every call.</Empty>}
    >
      {(value) => <pre class="code">{value}</pre>}
    </Shown>
  );
}

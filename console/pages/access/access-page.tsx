/**
 * The page Access: who may call what, who could at some time, why a call was refused, and what a candidate would
 * change.
 */
import { call } from "../../api/client.js";
import { noPolicyAtAll } from "../../api/no-policy.js";
import { Tabs } from "../../parts/controls.js";
import type { Place } from "../../state/place.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { useFilter } from "../../state/use-place.js";
import { CanForm } from "./can-form.js";
import { Explain } from "./explain.js";
import { MatrixView } from "./matrix-view.js";
import { ReplayView } from "./replay-view.js";
import { WhoCan } from "./who-can.js";

const tabs = [
  ["matrix", "Matrix"],
  ["can", "Can"],
  ["who", "Who can"],
  ["explain", "Explain a call"],
  ["replay", "Replay a candidate"],
] as const;
type View = (typeof tabs)[number][0];

export function AccessPage({ place }: { readonly place: Place }) {
  const { status, turn } = useMesh();
  const [view, setView] = useFilter(place, "view");
  const shown: View = tabs.find(([tab]) => tab === view)?.[0] ?? "matrix";
  const revision = status.value?.revision ?? 0;
  const isKnown = status.value !== undefined;
  const load = async (signal: AbortSignal) => {
    if (!isKnown || revision === 0) return [];
    // What the active revision allows is what it adds to no policy at all.
    const request = { from: noPolicyAtAll, to: { revision } };
    return (await call("DiffRevisions", request, signal)).access;
  };
  const [access, again] = useLoaded(`access ${isKnown} ${revision}`, load, { when: [turn] });
  const names = {
    services: unique(access.value?.map(({ service }) => service)),
    callers: unique(access.value?.map(({ caller }) => caller)),
    methods: unique(access.value?.map(({ method }) => method)),
  };
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Access</h1>
          <p>
            What no rule allows is denied. Ask about the policy that is in force, about an earlier one, or about one to
            come.
          </p>
        </div>
      </div>
      <section class="card" aria-label="Access">
        <Tabs label="What to ask" tabs={tabs} chosen={shown} onChoose={setView} />
        <div role="tabpanel" class="card-body stack">
          {shown === "matrix" && <MatrixView place={place} access={access} again={again} services={names.services} />}
          {shown === "can" && <CanForm place={place} names={names} />}
          {shown === "who" && <WhoCan place={place} names={names} />}
          {shown === "explain" && <Explain key={place.item} id={place.item} />}
          {shown === "replay" && <ReplayView services={names.services} />}
        </div>
      </section>
    </>
  );
}

const unique = (names: readonly string[] = []): readonly string[] =>
  [...new Set(names)].filter((name) => name !== "*").sort();

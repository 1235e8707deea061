/** The page Revisions: the former and present policy, who changed it and why, and what was activated when. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import { follow } from "../../api/events.js";
import type { ActivationInfo, RevisionInfo } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import { Check, Search } from "../../parts/controls.js";
import { Empty, Shown } from "../../parts/states.js";
import type { Place } from "../../state/place.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { useFilter } from "../../state/use-place.js";
import { RevisionDetail } from "./revision-detail.js";
import { addActivation, buildTimeline } from "./timeline.js";
import { Timeline } from "./timeline-list.js";

const activationsMax = 500;
const revisionsAtOnce = 200;

export function RevisionsPage({ place }: { readonly place: Place }) {
  const { turn } = useMesh();
  const [limit, setLimit] = useState(revisionsAtOnce);
  const load = async (signal: AbortSignal) => (await call("ListRevisions", { limit }, signal)).revisions;
  const [revisions, again] = useLoaded("revisions", load, { everyMs: 10_000, when: [turn, limit] });
  const activations = useActivations();
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Revisions</h1>
          <p>
            The chain of signed revisions, and the activations that put them in force. Nothing here is ever changed.
          </p>
        </div>
      </div>
      <Shown
        of={revisions}
        what="the revisions"
        again={again}
        isEmpty={(value) => value.length === 0}
        empty={
          <section class="card">
            <Empty icon="revisions" title="Nothing was published yet">
              Publish a first policy with <code>ashlar apply -f policy/</code>. Until then every call is denied.
            </Empty>
          </section>
        }
      >
        {(value) => (
          <Chain
            revisions={value}
            activations={activations}
            place={place}
            onMore={value.length < limit || limit >= 1000 ? undefined : () => setLimit(1000)}
          />
        )}
      </Shown>
    </>
  );
}

/** Returns the activation log: loaded once, then extended by each new activation. */
function useActivations(): readonly ActivationInfo[] {
  const { status } = useMesh();
  const [known, setKnown] = useState<readonly ActivationInfo[]>([]);
  const head = status.value?.epoch;
  const isKnown = head !== undefined;
  useEffect(() => {
    if (head === undefined || head === 0) return;
    return follow(
      "WatchActivations",
      { fromEpoch: Math.max(1, head - activationsMax + 1) },
      {
        onEvent: ({ activation }) => {
          if (activation !== undefined) setKnown((before) => addActivation(before, activation, activationsMax));
        },
      },
    );
    // The stream goes on by itself: a later head is no reason to read the log again.
  }, [isKnown]);
  return known;
}

interface ChainProps {
  readonly revisions: readonly RevisionInfo[];
  readonly activations: readonly ActivationInfo[];
  readonly place: Place;
  readonly onMore: (() => void) | undefined;
}

function Chain({ revisions, activations, place, onMore }: ChainProps) {
  const { status } = useMesh();
  const [search, setSearch] = useFilter(place, "q");
  const [hide, setHide] = useFilter(place, "hide");
  const days = useMemo(
    () => buildTimeline(revisions, activations, { search, activations: hide === "" }),
    [revisions, activations, search, hide],
  );
  const active = status.value?.rollout?.candidate ?? status.value?.revision;
  const number = Number(place.item) || active || revisions[0]?.number;
  const chosen = revisions.find((revision) => revision.number === number);
  return (
    <div class="chain">
      <section class="card" aria-label="Timeline">
        <div class="card-body stack">
          <Search label="Search revisions and activations" value={search} onChange={setSearch} />
          <div class="row">
            <Check label="Activations" checked={hide === ""} onChange={(on) => setHide(on ? "" : "1")} />
            <span class="quiet number">{counted(revisions.length, "revision")}</span>
          </div>
        </div>
        {days.length === 0 ? (
          <Empty icon="search" title="Nothing is like that">
            Change the search to see the rest of the chain.
          </Empty>
        ) : (
          <Timeline days={days} chosen={number ?? 0} />
        )}
        {onMore && (
          <div class="more">
            <button type="button" class="button small" onClick={onMore}>
              Load older revisions
            </button>
          </div>
        )}
      </section>
      {chosen === undefined ? (
        <section class="card">
          <Empty icon="revisions" title={`Revision ${place.item} is not among those loaded`}>
            Load older revisions, or choose another one.
          </Empty>
        </section>
      ) : (
        <RevisionDetail key={chosen.number} revision={chosen} activations={activations} place={place} />
      )}
    </div>
  );
}

/** The page Mesh: the services, who calls whom and how the calls go, as a moving picture or as a list. */
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import { counted, renderCount } from "../../format/amounts.js";
import { Check, Search } from "../../parts/controls.js";
import { Empty, Loading, Notice, Shown } from "../../parts/states.js";
import type { Place } from "../../state/place.js";
import { goTo, useFilter } from "../../state/use-place.js";
import { Canvas } from "./canvas.js";
import type { Chosen } from "./chosen.js";
import { ConnectionList } from "./connection-list.js";
import { EdgePanel } from "./edge-panel.js";
import { Legend } from "./legend.js";
import { NodePanel } from "./node-panel.js";
import { Picture } from "./picture.js";
import type { Topology } from "./topology.js";
import { useLayout } from "./use-layout.js";
import { type LiveTopology, useTopology } from "./use-topology.js";

export function MeshPage({ place }: { readonly place: Place }) {
  const live = useTopology();
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Mesh</h1>
          <p>Every connection that policy allows, and every call of the last ten seconds.</p>
        </div>
      </div>
      <TrafficWords live={live} />
      <Shown
        of={live.loaded}
        what="the mesh"
        again={live.again}
        isEmpty={({ nodes }) => nodes.length === 0}
        empty={
          <section class="card">
            <Empty icon="mesh" title="There is nothing to draw yet">
              Services appear here as soon as policy names them or a proxy joins.
            </Empty>
          </section>
        }
      >
        {(topology) => <Drawing topology={topology} live={live} place={place} />}
      </Shown>
    </>
  );
}

/** Says what is missing in the figures, if anything is. */
function TrafficWords({ live: { traffic, trafficProblem } }: { readonly live: LiveTopology }) {
  if (trafficProblem !== "")
    return (
      <Notice tone="warn" title="There are no live figures">
        <p>{trafficProblem}</p>
      </Notice>
    );
  if (traffic === undefined) return null;
  const missing = traffic.proxies - traffic.answering;
  if (missing <= 0 && traffic.leftOff === 0) return null;
  return (
    <Notice tone="warn" title="The figures lack something">
      {missing > 0 && (
        <p>
          {counted(missing, "live proxy does", "live proxies do")} not tell what they count: {traffic.silent.join(", ")}
          . The other side of their calls is counted.
        </p>
      )}
      {traffic.leftOff > 0 && (
        <p>{counted(traffic.leftOff, "kind of call has", "kinds of calls have")} no room here.</p>
      )}
    </Notice>
  );
}

interface DrawingProps {
  readonly topology: Topology;
  readonly live: LiveTopology;
  readonly place: Place;
}

function Drawing({ topology, live, place }: DrawingProps) {
  const [search, setSearch] = useFilter(place, "q");
  const [hideIdle, setHideIdle] = useFilter(place, "busy");
  const [view, setView] = useFilter(place, "view");
  const [full, setFull] = useState(true);
  const drawn = useLayout(topology);
  const edges = useMemo(
    () => topology.edges.filter(({ figures }) => hideIdle === "" || figures.rate > 0),
    [topology, hideIdle],
  );
  const found = useMemo(() => findNodes(topology, search), [topology, search]);
  const chosen = useMemo(() => chosenOf(topology, place.item), [topology, place.item]);
  const only = found !== undefined && found.size > 0 && found.size <= 3 ? [...found][0] : undefined;
  const target = only === undefined ? undefined : drawn?.layout.places[only];
  const choose = useChoose(place);
  const [moving, setMoving] = useState(false);
  // While somebody moves the picture nothing in it changes: it follows the hand, and then the traffic again.
  const still = useRef({ nodes: topology.nodes, edges });
  if (!moving) still.current = { nodes: topology.nodes, edges };
  return (
    <section class="card mesh" aria-label="Mesh" onKeyDown={(event) => event.key === "Escape" && choose(undefined)}>
      <div class="card-body tools">
        <Search label="Search services" value={search} onChange={setSearch} />
        <Check label="Only what is called" checked={hideIdle !== ""} onChange={(on) => setHideIdle(on ? "1" : "")} />
        <Check label="As a list" checked={view === "list"} onChange={(on) => setView(on ? "list" : "")} />
        <span class="quiet number" aria-live="polite">
          {found === undefined
            ? `${counted(topology.nodes.length, "box", "boxes")}, ${counted(edges.length, "connection")}`
            : `${renderCount(found.size)} found`}
        </span>
      </div>
      <div class={chosen === undefined ? "mesh-body" : "mesh-body with-panel"}>
        {view === "list" ? (
          <ConnectionList edges={edges} found={found} onChoose={(id) => choose({ kind: "edge", id })} />
        ) : drawn === undefined ? (
          <Loading what={`the picture of ${counted(topology.nodes.length, "box", "boxes")}`} />
        ) : (
          <Canvas
            picture={drawn.layout}
            target={target}
            label="Picture of the mesh. Arrow keys move it, + and - zoom, 0 shows all, Tab goes from box to box."
            onPress={(edge) => choose(edge === undefined ? undefined : { kind: "edge", id: edge })}
            onMoving={setMoving}
            farBelow={drawn.packed ? 0.62 : 0.4}
          >
            <Picture
              drawn={drawn}
              nodes={still.current.nodes}
              edges={still.current.edges}
              chosen={chosen}
              found={found}
              onChoose={choose}
            />
          </Canvas>
        )}
        {chosen?.kind === "node" && (
          <NodePanel id={chosen.id} topology={topology} onChoose={choose} onClose={() => choose(undefined)} />
        )}
        {chosen?.kind === "edge" && (
          <EdgePanel key={chosen.id} id={chosen.id} topology={topology} live={live} onClose={() => choose(undefined)} />
        )}
      </div>
      {view !== "list" && full && <Legend onClose={() => setFull(false)} />}
    </section>
  );
}

/**
 * Returns a function that stays the same while the page is open, so that parts that depend on it are not rendered
 * again.
 */
function useChoose(place: Place): (next: Chosen) => void {
  const filters = useRef(place.filters);
  filters.current = place.filters;
  return useCallback((next) => goTo({ page: "mesh", item: next?.id ?? "", filters: filters.current }), []);
}

function findNodes({ nodes }: Topology, search: string): ReadonlySet<string> | undefined {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  return new Set(nodes.filter(({ id }) => words.every((word) => id.toLowerCase().includes(word))).map(({ id }) => id));
}

function chosenOf({ nodes, edges }: Topology, item: string): Chosen {
  if (item === "") return undefined;
  if (nodes.some(({ id }) => id === item)) return { kind: "node", id: item };
  return edges.some(({ id }) => id === item) ? { kind: "edge", id: item } : undefined;
}

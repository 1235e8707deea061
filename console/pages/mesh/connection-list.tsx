/** Shows the picture's connections as a list, the busiest first. */
import { useState } from "preact/hooks";
import { renderMs, renderRate, renderShare } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import { Empty, More } from "../../parts/states.js";
import { Badge } from "../../parts/words.js";
import { type MeshEdge, stateOfEdge } from "./topology.js";

interface ListProps {
  readonly edges: readonly MeshEdge[];
  readonly found: ReadonlySet<string> | undefined;
  readonly onChoose: (id: string) => void;
}

const words = { busy: "calls", failing: "fails", refused: "refuses", idle: "idle", barred: "not allowed" } as const;
const tones = { busy: "ok", failing: "warn", refused: "bad", idle: "plain", barred: "plain" } as const;

export function ConnectionList({ edges, found, onChoose }: ListProps) {
  const [most, setMost] = useState(100);
  const shown = edges
    .filter(({ from, to }) => found === undefined || found.has(from) || found.has(to))
    .toSorted((a, b) => b.figures.rate - a.figures.rate || (a.id < b.id ? -1 : 1));
  if (shown.length === 0) return <Empty icon="search" title="No connection is like that" />;
  return (
    <div class="mesh-list">
      <div class="table-frame">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Caller</th>
              <th scope="col">Called</th>
              <th scope="col">State</th>
              <th scope="col" class="end">
                Calls
              </th>
              <th scope="col" class="end">
                Success
              </th>
              <th scope="col" class="end">
                p50
              </th>
              <th scope="col" class="end">
                p99
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.slice(0, most).map((edge) => (
              <tr key={edge.id}>
                <th scope="row">
                  <button type="button" class="unfold" onClick={() => onChoose(edge.id)}>
                    {clip(shortIdentity(edge.from), 60)}
                  </button>
                </th>
                <td>{clip(shortIdentity(edge.to), 60)}</td>
                <td>
                  <Badge tone={tones[stateOfEdge(edge)]}>{words[stateOfEdge(edge)]}</Badge>
                </td>
                <td class="end">{renderRate(edge.figures.rate)}</td>
                <td class="end">{edge.figures.rate > 0 && renderShare(edge.figures.success)}</td>
                <td class="end">{edge.figures.rate > 0 && renderMs(edge.figures.p50Ms)}</td>
                <td class="end">{edge.figures.rate > 0 && renderMs(edge.figures.p99Ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <More shown={Math.min(most, shown.length)} all={shown.length} onMore={() => setMost((before) => before + 200)} />
    </div>
  );
}

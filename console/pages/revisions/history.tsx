/** Shows when a revision was in force, and who activated it. */
import type { ActivationInfo } from "../../api/messages.js";
import { clip } from "../../format/names.js";
import { renderTime } from "../../format/times.js";
import { Empty } from "../../parts/states.js";
import { Badge, Who } from "../../parts/words.js";
import { describeActivation } from "./timeline.js";

interface HistoryProps {
  readonly revision: number;
  readonly activations: readonly ActivationInfo[];
}

export function History({ revision, activations }: HistoryProps) {
  const own = activations.filter((entry) => entry.revision === revision || entry.base === revision).toReversed();
  if (own.length === 0)
    return (
      <Empty icon="revisions" title="It was never in force">
        Among the activations that are loaded none names it.
      </Empty>
    );
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Epoch</th>
            <th scope="col">What</th>
            <th scope="col">When</th>
            <th scope="col">Who and why</th>
          </tr>
        </thead>
        <tbody>
          {own.map((entry) => (
            <tr key={entry.epoch}>
              <th scope="row" class="number">
                {entry.epoch}
              </th>
              <td>
                <Badge tone={describeActivation(entry).tone}>{describeActivation(entry).word}</Badge>
                {entry.base === revision && entry.revision !== revision && <div class="quiet">as its base</div>}
              </td>
              <td class="tight">{renderTime(entry.timeMs)}</td>
              <td class="wrap">
                <Who id={entry.author} />
                {entry.reason && <div class="quiet">{clip(entry.reason, 400)}</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

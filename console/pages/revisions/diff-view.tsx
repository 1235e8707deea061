/** Shows the differences between two revisions: who may call what, then the objects side by side. */
import { useState } from "preact/hooks";
import type { AccessChange, ObjectChange } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import { More } from "../../parts/states.js";
import { Badge } from "../../parts/words.js";
import { effectOf } from "./access-effect.js";
import { buildDiffRows, type DiffRow, foldRows, type Gap } from "./diff-rows.js";

interface DiffProps {
  readonly objects: readonly ObjectChange[];
  readonly access: readonly AccessChange[];
}

const objectsFirst = 20;

export function Diff({ objects, access }: DiffProps) {
  const [most, setMost] = useState(objectsFirst);
  return (
    <>
      <Effect access={access} />
      {objects.slice(0, most).map((object) => (
        <ObjectDiff key={`${object.kind} ${object.name}`} object={object} />
      ))}
      <More
        shown={Math.min(most, objects.length)}
        all={objects.length}
        onMore={() => setMost((before) => before + 50)}
      />
    </>
  );
}

/** Shows who gains and who loses access. */
export function Effect({ access }: { readonly access: readonly AccessChange[] }) {
  const { gains, loses, changes } = effectOf(access);
  if (access.length === 0) return <p class="quiet">Nobody's access changes.</p>;
  return (
    <div class="effects">
      <EffectList title={counted(loses.length, "call loses access", "calls lose access")} tone="bad" access={loses} />
      <EffectList title={counted(gains.length, "call gains access", "calls gain access")} tone="ok" access={gains} />
      <EffectList
        title={counted(changes.length, "condition changes", "conditions change")}
        tone="warn"
        access={changes}
      />
    </div>
  );
}

interface EffectListProps {
  readonly title: string;
  readonly tone: "ok" | "warn" | "bad";
  readonly access: readonly AccessChange[];
}

const effectsFirst = 8;

function EffectList({ title, tone, access }: EffectListProps) {
  const [most, setMost] = useState(effectsFirst);
  if (access.length === 0) return null;
  return (
    <div class={`effect ${tone}`}>
      <h3>{title}</h3>
      <ul>
        {access.slice(0, most).map((entry) => (
          <li key={`${entry.caller} ${entry.service} ${entry.method}`}>
            <span class="wrap">
              <b>{entry.caller === "*" ? "everyone else" : clip(shortIdentity(entry.caller), 80)}</b> →{" "}
              <code>{clip(entry.method, 120)}</code>
              <span class="quiet"> of {clip(entry.service, 60)}</span>
            </span>
            {(entry.change === "changes" || entry.after !== "allowed") && entry.after !== "denied" && (
              <code class="quiet wrap condition">{clip(entry.after, 300)}</code>
            )}
          </li>
        ))}
      </ul>
      <More
        shown={Math.min(most, access.length)}
        all={access.length}
        onMore={() => setMost((before) => before + 100)}
      />
    </div>
  );
}

const toneOfChange = { added: "ok", removed: "bad", changed: "accent" } as const;

function ObjectDiff({ object }: { readonly object: ObjectChange }) {
  const { change, kind, name, lines } = object;
  const tone = change === "added" || change === "removed" || change === "changed" ? toneOfChange[change] : "plain";
  const rows = foldRows(buildDiffRows(lines), 3);
  return (
    <figure class="diff">
      <figcaption>
        <Badge tone={tone}>{change}</Badge>
        <strong>{kind}</strong>
        <span class="wrap">{clip(name, 120)}</span>
      </figcaption>
      <table aria-label={`${kind} ${name}: before on the left, after on the right`}>
        <colgroup>
          <col class="line" />
          <col />
          <col class="line" />
          <col />
        </colgroup>
        <tbody>
          {rows.map((row, index) => (
            <DiffLine key={index} row={row} />
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function DiffLine({ row }: { readonly row: DiffRow | Gap }) {
  const [open, setOpen] = useState(false);
  if (row.kind !== "gap") return <Line row={row} />;
  if (open) return row.rows.map((hidden) => <Line key={`${hidden.before?.line} ${hidden.after?.line}`} row={hidden} />);
  return (
    <tr>
      <td colSpan={4} class="gap">
        <button type="button" class="button plain small" onClick={() => setOpen(true)}>
          {counted(row.rows.length, "line")} that are the same
        </button>
      </td>
    </tr>
  );
}

function Line({ row: { kind, before, after } }: { readonly row: DiffRow }) {
  const left = before !== undefined && kind !== "same";
  const right = after !== undefined && kind !== "same";
  return (
    <tr>
      <td class="line">{before?.line}</td>
      <td class={left ? "minus" : before ? "" : "none"}>
        {left && <span class="hidden">taken away: </span>}
        {before?.text}
      </td>
      <td class="line">{after?.line}</td>
      <td class={right ? "plus" : after ? "" : "none"}>
        {right && <span class="hidden">added: </span>}
        {after?.text}
      </td>
    </tr>
  );
}

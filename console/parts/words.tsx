/** Small pieces of text: a state, a revision, a time, a person. */
import type { ComponentChildren } from "preact";
import type { Tone } from "../format/codes.js";
import { markOf } from "../format/mark.js";
import { clip, shortId, shortIdentity } from "../format/names.js";
import { renderAgo, renderTime } from "../format/times.js";

export function Badge({ tone = "plain", children }: { readonly tone?: Tone; readonly children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function Dot({ tone, live = false }: { readonly tone: Tone; readonly live?: boolean }) {
  return <span class={`dot ${tone}${live ? " live" : ""}`} aria-hidden="true" />;
}

/** Draws a revision's mason's mark, by which people recognise the revision. */
export function Mark({ digest, small = false }: { readonly digest: string; readonly small?: boolean }) {
  const path = markOf(digest);
  return (
    <svg class={small ? "mark small" : "mark"} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={path} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />
    </svg>
  );
}

/** Shows a revision by its mark and number, as a link to its page. */
export function Revision({ number, digest }: { readonly number: number; readonly digest?: string | undefined }) {
  if (number === 0) return <span class="quiet">none</span>;
  return (
    <a class="revision" href={`#/revisions/${number}`} title={digest ? `revision ${number}, ${digest}` : undefined}>
      {digest && <Mark digest={digest} small />}
      <span>{number}</span>
    </a>
  );
}

/** Shows how long ago something was. The exact time is in the tooltip. */
export function Ago({ timeMs, nowMs }: { readonly timeMs: number; readonly nowMs: number }) {
  const full = renderTime(timeMs);
  return (
    <time dateTime={timeMs > 0 ? new Date(Math.min(timeMs, 8.64e15)).toISOString() : undefined} title={full}>
      {renderAgo(timeMs, nowMs)}
    </time>
  );
}

/** Shows a name. The whole identity is in the tooltip. */
export function Who({ id }: { readonly id: string }) {
  if (id === "") return <span class="quiet">nobody</span>;
  return (
    <span class="wrap" title={id}>
      {clip(shortIdentity(id), 80)}
    </span>
  );
}

/** Shows the beginning of a digest or an id. The whole is in the tooltip. */
export function Id({ id, length = 10 }: { readonly id: string; readonly length?: number }) {
  return <code title={id}>{shortId(id, length)}</code>;
}

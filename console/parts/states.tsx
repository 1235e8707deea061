/** Shows the state of what a page loads: loading, empty, failed, stale, or cut off. */
import type { ComponentChildren } from "preact";
import { renderCount } from "../format/amounts.js";
import { faceOf, type Loaded } from "../state/loaded.js";
import { Icon, type IconName } from "./icon.js";

export function Loading({ what }: { readonly what: string }) {
  return (
    <div class="bones" role="status" aria-label={`Loading ${what}`}>
      <i />
      <i />
      <i />
      <i />
      <i />
    </div>
  );
}

interface EmptyProps {
  readonly icon?: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** Says that there is nothing to show, why that may be, and what would change it. */
export function Empty({ icon = "empty", title, children }: EmptyProps) {
  return (
    <div class="state">
      <Icon name={icon} />
      <h3>{title}</h3>
      {children && <p>{children}</p>}
    </div>
  );
}

interface NoticeProps {
  readonly tone: "ok" | "warn" | "bad" | "note" | "plain";
  readonly title?: string;
  readonly children?: ComponentChildren;
  readonly action?: ComponentChildren;
}

export function Notice({ tone, title, children, action }: NoticeProps) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <div>
        {title && <h3>{title}</h3>}
        {children}
      </div>
      {action}
    </div>
  );
}

interface ShownProps<T> {
  readonly of: Loaded<T>;
  /** The name of what is loaded, as it reads within a sentence: "the proxies". */
  readonly what: string;
  readonly again: () => void;
  readonly isEmpty?: (value: T) => boolean;
  readonly empty?: ComponentChildren;
  readonly children: (value: T) => ComponentChildren;
}

/** Shows the loaded value, or why there is none. */
export function Shown<T>({ of, what, again, isEmpty = () => false, empty, children }: ShownProps<T>) {
  const face = faceOf(of, isEmpty);
  const retry = (
    <button type="button" class="button small" onClick={again}>
      Try again
    </button>
  );
  if (face === "loading") return <Loading what={what} />;
  if (face === "failed" || of.value === undefined)
    return (
      <div class="card-body">
        <Notice tone="bad" title={`Could not load ${what}`} action={retry}>
          <p>{of.problem?.message}</p>
        </Notice>
      </div>
    );
  if (face === "empty") return <>{empty}</>;
  return (
    <>
      {face === "stale" && (
        <div class="card-body">
          <Notice tone="warn" title={`This is what was last known of ${what}`} action={retry}>
            <p>{of.problem?.message}</p>
          </Notice>
        </div>
      )}
      {children(of.value)}
    </>
  );
}

interface MoreProps {
  readonly shown: number;
  readonly all: number;
  readonly onMore: () => void;
}

/** Shows below a cut list how many items there are, with a button to show more. */
export function More({ shown, all, onMore }: MoreProps) {
  if (shown >= all) return null;
  return (
    <div class="more">
      <span>
        {renderCount(shown)} of {renderCount(all)}
      </span>
      <button type="button" class="button small" onClick={onMore}>
        Show more
      </button>
    </div>
  );
}

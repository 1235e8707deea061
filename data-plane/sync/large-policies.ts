/** What preparing the policy of thousands of services leaves behind is given back when the process is idle. */
import { type IdleCollection, processIdleCollection } from "../../runtime/idle-collection.js";

/** A list of so many units is large: what it takes to verify one is megabytes. */
export const largeListUnits = 1000;

let ofProcess: IdleCollection | undefined;

/** The services of a process share its memory. */
function idleCollection(): Pick<IdleCollection, "soon"> {
  ofProcess ??= processIdleCollection();
  return ofProcess;
}

/** Asks for what verifying `list` has left, if it is large. */
export function giveBackAfter(
  list: { readonly units: readonly unknown[] },
  collection: () => Pick<IdleCollection, "soon"> = idleCollection,
): void {
  if (list.units.length >= largeListUnits) void collection().soon();
}

interface WatchedSync {
  held(): Iterable<{ readonly list: { readonly units: readonly unknown[] } }>;
  onChange(listener: () => void): () => void;
}

/** Asks `collection` for what each large list has left, from those that are held already on. */
export function giveBackAfterLargePolicies(
  sync: WatchedSync,
  collection: () => Pick<IdleCollection, "soon"> = idleCollection,
): void {
  const seen = new WeakSet<object>();
  const look = (): void => {
    for (const { list } of sync.held()) {
      if (seen.has(list)) continue;
      seen.add(list);
      giveBackAfter(list, collection);
    }
  };
  look();
  sync.onChange(look);
}

/**
 * The method of the event feed, which the proxies of a service serve themselves. Only the readers of its Journal may
 * call it.
 */
import type { Unit } from "../model.js";

export const feedMethod = "ashlar.v1.JournalFeedService/Follow";

/**
 * Returns the rule that lets readers call the feed, with the name that decisions show, or undefined if the Journal has
 * no readers.
 */
export function readersRule({ journals }: Pick<Unit, "journals">) {
  const [journal] = journals;
  const { name = "", readers = [] } = journal ?? {};
  return readers.length === 0 ? undefined : { id: `${name}/readers`, rule: { from: readers, methods: [feedMethod] } };
}

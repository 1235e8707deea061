/** The method of the event feed, which a service's own proxies serve: readers of its Journal may call it, and nobody else. */
import type { Unit } from "../model.js";

export const feedMethod = "ashlar.v1.JournalFeedService/Follow";

/** The rule that lets readers call it, by the name that decisions have; undefined: there are no readers. */
export function readersRule({ journals }: Pick<Unit, "journals">) {
  const [journal] = journals;
  const { name = "", readers = [] } = journal ?? {};
  return readers.length === 0 ? undefined : { id: `${name}/readers`, rule: { from: readers, methods: [feedMethod] } };
}

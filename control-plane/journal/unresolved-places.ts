/** Stores in a file how far each journal was read for writes without an outcome. */
import { messageOf } from "../../core/errors.js";
import { readJsonIfThere, replaceDurably } from "../../runtime/durable-file.js";
import type { Logger } from "../../runtime/log.js";
import type { UnresolvedPlace, UnresolvedPlaces } from "./unresolved-writes.js";

/** Opens the file. If it is missing or unreadable, the journals are read again from the beginning. */
export function openUnresolvedPlaces(path: string, log: Logger): UnresolvedPlaces {
  const places = new Map<string, UnresolvedPlace>();
  try {
    for (const [service, place] of Object.entries(readJsonIfThere(path) ?? {}))
      if (isPlace(place)) places.set(service, place);
  } catch (error) {
    log.warn("what is known of the journals' unresolved writes cannot be read", { path, error: messageOf(error) });
  }
  return {
    load: (service) => places.get(service),
    async keep(service, place) {
      places.set(service, place);
      try {
        await replaceDurably(path, JSON.stringify(Object.fromEntries(places)));
      } catch (error) {
        log.warn("what is known of the journals' unresolved writes cannot be kept", { path, error: messageOf(error) });
      }
    },
  };
}

function isPlace(found: unknown): found is UnresolvedPlace {
  const { through, unresolved } = (found ?? {}) as Partial<UnresolvedPlace>;
  if (!Number.isSafeInteger(through) || !Array.isArray(unresolved)) return false;
  return unresolved.every((each) => Array.isArray(each) && each.every((one) => Number.isSafeInteger(one)));
}

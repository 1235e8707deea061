import { useCallback, useEffect, useState } from "preact/hooks";
import { type Place, parsePlace, renderPlace } from "./place.js";

/** Returns where somebody is, and follows the browser's back and forward. */
export function usePlace(): Place {
  const [place, setPlace] = useState(() => parsePlace(location.hash));
  useEffect(() => {
    const changed = (): void => setPlace(parsePlace(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return place;
}

export function goTo(place: Partial<Place> & Pick<Place, "page">): void {
  location.hash = renderPlace(place);
}

/** Returns a filter of the place and a function that sets it without a step in the browser's history. */
export function useFilter(place: Place, name: string): readonly [string, (value: string) => void] {
  const value = place.filters[name] ?? "";
  const set = useCallback(
    (next: string) => {
      const now = parsePlace(location.hash);
      history.replaceState(null, "", renderPlace({ ...now, filters: { ...now.filters, [name]: next } }));
      dispatchEvent(new HashChangeEvent("hashchange"));
    },
    [name],
  );
  return [value, set];
}

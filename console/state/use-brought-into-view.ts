/** Brings what was chosen into view where it stands below what it was chosen from, as on a phone. */
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/**
 * Returns a reference for the element that shows what is chosen. Whenever `chosen` changes and is not empty, the window
 * scrolls to the element if it begins in the lower half of the window or below.
 */
export function useBroughtIntoView<E extends Element>(chosen: string): RefObject<E | null> {
  const element = useRef<E>(null);
  useEffect(() => {
    const shown = element.current;
    if (shown === null || chosen === "") return;
    if (shown.getBoundingClientRect().top > innerHeight / 2) shown.scrollIntoView({ block: "start" });
  }, [chosen]);
  return element;
}

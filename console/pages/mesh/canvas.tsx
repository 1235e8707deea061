/** The frame of the picture. Dragging or arrow keys move it, the wheel or + and - zoom, 0 shows all of it. */
import type { ComponentChildren, RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../../parts/icon.js";
import type { Point } from "./shapes.js";
import { centreOn, fitView, panBy, type Size, type View, viewByKey, zoomAt } from "./viewport.js";

interface CanvasProps {
  readonly picture: Size;
  /** The point to move into the middle. The picture moves each time that this is another point. */
  readonly target: Point | undefined;
  readonly label: string;
  /** Called with the id of a pressed line, or with undefined if something else was pressed. */
  readonly onPress: (edge: string | undefined) => void;
  readonly farBelow: number;
  /** Called with true when a user begins to move the picture, and with false at the end. */
  readonly onMoving: (moving: boolean) => void;
  readonly children: ComponentChildren;
}

export function Canvas({ picture, target, label, onPress, farBelow, onMoving, children }: CanvasProps) {
  const frame = useRef<SVGSVGElement>(null);
  const content = useRef<SVGGElement>(null);
  const [far, setFar] = useState(false);
  const { show, view } = useView(content, farBelow, setFar);
  const size = useCallback((): Size => {
    const { clientWidth: width = 0, clientHeight: height = 0 } = frame.current ?? {};
    return { width, height };
  }, []);
  const fitAll = useCallback(() => show(fitView(picture, size())), [picture.width, picture.height, show, size]);
  useLayoutEffect(fitAll, [fitAll]);
  useEffect(() => {
    if (target !== undefined) show(centreOn(view.current, target, size()));
  }, [target, show, size, view]);
  usePointer(frame, view, show, onMoving);
  usePress(frame, onPress);
  const pressed = (event: KeyboardEvent): void => {
    if (event.target !== frame.current) return;
    const next = viewByKey(view.current, event.key, picture, size());
    if (next === undefined) return;
    event.preventDefault();
    show(next);
  };
  const zoom = (factor: number): void => {
    const { width, height } = size();
    show(zoomAt(view.current, width / 2, height / 2, factor));
  };
  return (
    <div class="canvas">
      <svg
        ref={frame}
        class={far ? "far" : ""}
        role="application"
        aria-label={label}
        // In small letters, as SVG tells attributes apart by case: Tab would pass over the picture otherwise.
        tabindex={0}
        onKeyDown={pressed}
      >
        <defs>
          <pattern id="grid" width="24" height="24" patternUnits="userSpaceOnUse">
            <circle cx="1" cy="1" r="1" class="grid-dot" />
          </pattern>
        </defs>
        <rect class="backdrop" width="100%" height="100%" fill="url(#grid)" />
        <g ref={content}>{children}</g>
      </svg>
      <div class="canvas-tools" role="toolbar" aria-label="View">
        <button type="button" class="button small" aria-label="Zoom in" onClick={() => zoom(1.25)}>
          <Icon name="plus" />
        </button>
        <button type="button" class="button small" aria-label="Zoom out" onClick={() => zoom(0.8)}>
          <Icon name="minus" />
        </button>
        <button type="button" class="button small" aria-label="Show all" onClick={fitAll}>
          <Icon name="fit" />
        </button>
      </div>
    </div>
  );
}

/**
 * Moves the content without rendering it again, at most once per frame. The page learns only whether it is zoomed out.
 */
function useView(content: RefObject<SVGGElement | null>, farBelow: number, setFar: (far: boolean) => void) {
  const view = useRef<View>({ scale: 1, x: 0, y: 0 });
  const waiting = useRef(0);
  const show = useCallback(
    (next: View) => {
      view.current = next;
      if (waiting.current !== 0) return;
      waiting.current = requestAnimationFrame(() => {
        waiting.current = 0;
        const { scale, x, y } = view.current;
        content.current?.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
        setFar(scale < farBelow);
      });
    },
    [farBelow],
  );
  useEffect(() => () => cancelAnimationFrame(waiting.current), []);
  return { view, show };
}

/**
 * Listens for presses on lines. Lines are no buttons: for the keyboard, a box's panel and the list offer each of them.
 */
function usePress(frame: RefObject<SVGSVGElement | null>, onPress: (edge: string | undefined) => void): void {
  const latest = useRef(onPress);
  latest.current = onPress;
  useEffect(() => {
    const svg = frame.current;
    const clicked = ({ target }: MouseEvent): void => {
      if (!(target instanceof Element) || target.closest("[role=button]") !== null) return;
      latest.current(target.closest("[data-edge]")?.getAttribute("data-edge") ?? undefined);
    };
    svg?.addEventListener("click", clicked);
    return () => svg?.removeEventListener("click", clicked);
  }, []);
}

function usePointer(
  frame: RefObject<SVGSVGElement | null>,
  view: RefObject<View>,
  show: (view: View) => void,
  onMoving: (moving: boolean) => void,
): void {
  useEffect(() => {
    const svg = frame.current;
    if (svg === null) return;
    let from: Point | undefined;
    const at = (event: MouseEvent): Point => {
      const { left, top } = svg.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const now = (): View => view.current;
    const down = (event: PointerEvent): void => {
      // On a box or a line a press is a click.
      if (event.button !== 0 || !(event.target instanceof Element) || !event.target.classList.contains("backdrop"))
        return;
      from = at(event);
      onMoving(true);
      svg.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent): void => {
      if (from === undefined) return;
      const to = at(event);
      show(panBy(now(), to.x - from.x, to.y - from.y));
      from = to;
    };
    const up = (): void => {
      if (from !== undefined) onMoving(false);
      from = undefined;
    };
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      const { x, y } = at(event);
      show(zoomAt(now(), x, y, Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) / 400)));
    };
    svg.addEventListener("pointerdown", down);
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerup", up);
    svg.addEventListener("pointercancel", up);
    svg.addEventListener("wheel", wheel, { passive: false });
    return () => {
      svg.removeEventListener("pointerdown", down);
      svg.removeEventListener("pointermove", move);
      svg.removeEventListener("pointerup", up);
      svg.removeEventListener("pointercancel", up);
      svg.removeEventListener("wheel", wheel);
    };
  }, []);
}

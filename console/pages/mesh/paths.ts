/** Computes the SVG paths of links. */
import type { Point } from "./shapes.js";

/** Returns the path of a link: along `way`, or in one curve from the right of a box to the left of another. */
export function pathOf(
  way: readonly Point[] | undefined,
  from: Point,
  to: Point,
  widths: readonly [number, number],
): string {
  if (way !== undefined && way.length > 1) return alongPoints(way);
  const start = { x: from.x + widths[0] / 2, y: from.y };
  const end = { x: to.x - widths[1] / 2, y: to.y };
  const bend = Math.max(40, Math.abs(end.x - start.x) / 2);
  return `M${n(start.x)} ${n(start.y)}C${n(start.x + bend)} ${n(start.y)} ${n(end.x - bend)} ${n(end.y)} ${n(end.x)} ${n(end.y)}`;
}

/** Returns a smooth line through the middles between points, bent towards the points. */
function alongPoints(points: readonly Point[]): string {
  const [first = { x: 0, y: 0 }] = points;
  const last = points.at(-1) ?? first;
  let path = `M${n(first.x)} ${n(first.y)}`;
  for (let i = 1; i < points.length - 1; i++) {
    const here = points[i] ?? last;
    const next = points[i + 1] ?? last;
    const end = i === points.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += `Q${n(here.x)} ${n(here.y)} ${n(end.x)} ${n(end.y)}`;
  }
  return points.length === 2 ? `${path}L${n(last.x)} ${n(last.y)}` : path;
}

const n = (value: number): string => String(Math.round(value * 10) / 10);

/** The visible part of the picture: its scale, and the position of its origin on the screen. */

export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const scaleMin = 0.08;
export const scaleMax = 2.5;

const clamp = (scale: number): number => Math.min(scaleMax, Math.max(scaleMin, scale));

/** Zooms by `factor`. The point at (x, y) on the screen stays where it is. */
export function zoomAt(view: View, x: number, y: number, factor: number): View {
  const scale = clamp(view.scale * factor);
  const ratio = scale / view.scale;
  return { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
}

export function panBy(view: View, dx: number, dy: number): View {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Returns the view that shows the whole picture, but not enlarged. */
export function fitView(picture: Size, screen: Size): View {
  if (picture.width <= 0 || picture.height <= 0 || screen.width <= 0 || screen.height <= 0)
    return { scale: 1, x: 0, y: 0 };
  const scale = clamp(Math.min(1.15, screen.width / picture.width, screen.height / picture.height));
  return {
    scale,
    x: (screen.width - picture.width * scale) / 2,
    y: (screen.height - picture.height * scale) / 2,
  };
}

/** Moves a point of the picture into the middle of the screen, at a readable scale. */
export function centreOn(view: View, point: { readonly x: number; readonly y: number }, screen: Size): View {
  const scale = Math.max(view.scale, 0.8);
  return { scale, x: screen.width / 2 - point.x * scale, y: screen.height / 2 - point.y * scale };
}

/** Returns the view after a key was pressed. undefined: the key does nothing. */
export function viewByKey(view: View, key: string, picture: Size, screen: Size): View | undefined {
  const step = 60;
  const [cx, cy] = [screen.width / 2, screen.height / 2];
  switch (key) {
    case "ArrowLeft":
      return panBy(view, step, 0);
    case "ArrowRight":
      return panBy(view, -step, 0);
    case "ArrowUp":
      return panBy(view, 0, step);
    case "ArrowDown":
      return panBy(view, 0, -step);
    case "+":
    case "=":
      return zoomAt(view, cx, cy, 1.25);
    case "-":
      return zoomAt(view, cx, cy, 0.8);
    case "0":
      return fitView(picture, screen);
    default:
      return undefined;
  }
}

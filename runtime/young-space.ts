/**
 * How far V8's space for young objects may grow. While a program is loaded most of what it allocates stays, which V8
 * takes for a sign that the space is too small: it grows to 32 MB, which are never given back and of no use later.
 */
import { setFlagsFromString } from "node:v8";

/** Call it before the program is loaded. */
export function holdYoungSpace(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** From now on it grows with the work. */
export function releaseYoungSpace(): void {
  setFlagsFromString("--semi-space-growth-factor=2");
}

import { readdirSync } from "node:fs";
import { join } from "node:path";

/** Returns the paths of all files below `folder` whose names end in `ending`. */
export function filesBelow(folder: string, ending: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file));
}

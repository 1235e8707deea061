import type { PolicyObject } from "../kinds/table.js";
import type { Place } from "./reading.js";

/** An object with the place where an operator wrote it. */
export interface SourcedObject {
  readonly object: PolicyObject;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** False if something in the object is wrong and was left out; the object is kept so that names can be checked. */
  readonly whole: boolean;
  /** The places of its texts: by field, and by list and text ("allow[0].from=checkout"). */
  readonly places: ReadonlyMap<string, Place>;
}

/** Policy files, and the problems found in them. */

/** A problem or a notice about policy files. An error keeps them from being published. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** The line number, counted from 1; 0 if the finding has no place. */
  readonly line: number;
  readonly column: number;
  readonly field: string;
  readonly message: string;
}

/** A policy file as an operator wrote it. */
export interface PolicyFile {
  readonly name: string;
  readonly content: string;
}

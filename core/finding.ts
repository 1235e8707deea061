/** Policy files, and what is wrong with them. */

/** Something to know about policy files; an error keeps them from being published. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** Line number from 1; 0 if the finding is about no place. */
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

/** A label of a proxy. */
export interface Label {
  readonly key: string;
  readonly value: string;
}

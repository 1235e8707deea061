/** The input and the result of a layout. */

export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
}

export interface Link {
  readonly id: string;
  readonly from: string;
  readonly to: string;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  /** The centre of each box, by its id. */
  readonly places: Readonly<Record<string, Point>>;
  /** The points that each link runs through from box to box, by its id. */
  readonly ways: Readonly<Record<string, readonly Point[]>>;
  /** Where a link's text has space, by its id. If missing: in the middle of the link. */
  readonly words: Readonly<Record<string, Point>>;
  readonly width: number;
  readonly height: number;
}

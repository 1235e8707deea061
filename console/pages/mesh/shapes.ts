/** What a layout is made of, and what it gives. */

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
  /** The middle of each box. */
  readonly places: Readonly<Record<string, Point>>;
  /** The way of each link, from box to box. */
  readonly ways: Readonly<Record<string, readonly Point[]>>;
  /** Where a link's words have room; of one that is missing: in its middle. */
  readonly words: Readonly<Record<string, Point>>;
  readonly width: number;
  readonly height: number;
}

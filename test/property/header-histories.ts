/** Header blocks as a hostile client may write them one after the other: alike, nearly alike, and broken. */
import { encodeHuffman, huffmanLength } from "../../data-plane/http2/huffman.js";
import { staticEntries } from "../../data-plane/http2/static-table.js";
import { type PlainDecoder, staticField, staticIndexOf } from "./plain-hpack.js";

/** Numbers that only `seed` decides (mulberry32). */
export class Draws {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % count;
  }

  /** One time in `count`. */
  rare(count: number): boolean {
    return this.below(count) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

export type Role = "request" | "response" | "trailers";
type How = "indexed" | "literal" | "never";

interface Kind {
  readonly name: string;
  /** The first is usual. */
  readonly values: readonly string[];
  readonly how: How;
  /** Another value in each block. */
  readonly isFree: boolean;
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const pool: Readonly<Record<string, readonly string[]>> = {
  "grpc-timeout": ["1S", "20m", "999999u", "x"],
  traceparent: [trace, trace.replace("4b", "5c"), "bad", `${trace.slice(0, -1)}é`],
  tracestate: ["a=b", "c=d"],
  te: ["trailers", "trailers", "gzip"],
  "user-agent": ["me/1", "me/2", "\\".repeat(400)],
  "x-a": ["1", "2", "3", "é", "\u0001"],
  "x-b": ["1", "", "é", " x", "y".repeat(1500), "1 ", "\t1", " "],
  "x-s": [" 1", "1", " 2 "],
  x_c: ["1", "2"],
  "x-D": ["1"],
  "x-big": ["z".repeat(900), "z".repeat(3000), "\\".repeat(700), "q".repeat(4100)],
  "content-length": ["0", "5", "x"],
  "x-forwarded-for": ["1.2.3.4", "5.6.7.8"],
  "x-forwarded-": ["1", "2"],
  "ashlar-caller": ["spiffe://test/service/other", "me"],
  "ashlar-epoch": ["7", "8", "x", "é"],
  "ashlar-labels": ["a=b", "a=c"],
  "ashlar-new": ["1", "2"],
  ashlar_new: ["1", "2"],
  "ashlar-revision": ["5", "6"],
  "ashlar-decision": ["d1", "d2"],
  host: ["shop", "cart"],
  connection: ["close"],
  "transfer-encoding": ["chunked"],
  "grpc-encoding": ["gzip", "identity"],
  "grpc-status": ["0", "14"],
  "grpc-message": ["", "gone", "éé", "gone "],
  cookie: ["a=1", "b=2"],
  authorization: ["Bearer abc", "Bearer def"],
  ":path": ["/a.B/C"],
  ":authority": ["cart"],
  ":x": ["1"],
  "": ["1"],
  "content-type": ["application/grpc", "text/html"],
};
const names = Object.keys(pool);
const broken = new Set([
  "x_c",
  "x-D",
  "connection",
  "transfer-encoding",
  ":path",
  ":authority",
  ":x",
  "",
  "content-type",
]);
/** Their usual values are good. */
const usual = names.filter((name) => !broken.has(name));
const harmless = usual.filter((name) => name !== "host" && name !== "content-length" && name !== "x-big");
const heads: Readonly<Record<Role, Readonly<Record<string, readonly string[]>>>> = {
  request: {
    ":method": ["POST", "GET"],
    ":scheme": ["http", "https"],
    ":path": ["/a.B/C", "/a.B/D", "/bad"],
    ":authority": ["shop", "cart", "shop.", "SHOP:1", "évil"],
    "content-type": ["application/grpc", "application/grpc+proto", "text/html"],
  },
  response: { ":status": ["200", "404", "100", "2"], "content-type": ["application/grpc", "text/html"] },
  trailers: { "grpc-status": ["0", "14", "x"], "grpc-message": ["ok", "gone", "é"] },
};

/** Kinds of messages, each of which is sent again and again with a few values that differ. */
export class HistoryWriter {
  readonly #draws: Draws;
  readonly #kinds: ReadonlyArray<readonly Kind[]>;
  /** How seldom something is out of the ordinary: what is known of blocks matters where most are good. */
  readonly #calm: number;

  constructor(draws: Draws, role: Role) {
    this.#draws = draws;
    this.#calm = draws.of([1, 6, 20]);
    this.#kinds = Array.from({ length: 1 + draws.below(draws.rare(8) ? 24 : 3) }, () => this.#kind(role));
  }

  #kind(role: Role): readonly Kind[] {
    const draws = this.#draws;
    const one = (name: string, values: readonly string[]): Kind => {
      const how = draws.of<How>(["indexed", "indexed", "indexed", "indexed", "literal", "never"]);
      return { name, values, how, isFree: draws.rare(4) };
    };
    const kinds = Object.entries(heads[role]).map(
      ([name, values]): Kind => ({
        ...one(name, values),
        isFree: false,
        how: draws.rare(10 * this.#calm) ? "literal" : "indexed",
      }),
    );
    const more = draws.below(draws.rare(6) ? 34 : 6);
    for (let i = 0; i < more; i++) {
      const name = draws.rare(3) ? `x-${i}` : draws.of(draws.rare(60) ? names : this.#calm > 1 ? harmless : usual);
      if (this.#calm > 1 && kinds.some((kind) => kind.name === name)) continue;
      kinds.push(one(name, pool[name] ?? [`${i}`, "other"]));
    }
    return kinds;
  }

  /** The next block, for a decoder whose table is as that of `peer`. */
  next(peer: PlainDecoder): Uint8Array {
    const draws = this.#draws;
    const calm = this.#calm;
    const out: number[] = [];
    if (draws.rare(25)) for (let i = draws.below(3); i >= 0; i--) this.#sizeUpdate(out);
    const fields = draws.of(this.#kinds).map(({ name, values, how, isFree }) => {
      const value =
        isFree || draws.rare(10 * calm)
          ? draws.of(isFree && !draws.rare(calm) ? values.slice(0, 2) : values)
          : (values[0] ?? "");
      return { name, value, how: draws.rare(10 * calm) ? draws.of<How>(["indexed", "literal", "never"]) : how };
    });
    // A field that was harmless gets a name that matters, where all else is as it was.
    const renamed = draws.rare(4 * calm) ? fields[draws.below(fields.length)] : undefined;
    if (renamed !== undefined) renamed.name = draws.rare(2) ? draws.of(names) : `x-${draws.below(12)}`;
    if (draws.rare(5 * calm)) fields.splice(draws.below(fields.length), 1);
    if (draws.rare(5 * calm))
      fields.push(draws.of(fields.length > 0 ? fields : [{ name: "x-a", value: "1", how: "indexed" }]));
    if (draws.rare(5 * calm)) {
      const name = draws.of(names);
      const added = { name, value: draws.of(pool[name] ?? []), how: draws.of<How>(["indexed", "literal", "never"]) };
      fields.splice(draws.below(fields.length + 1), 0, added);
    }
    if (draws.rare(20 * calm))
      for (let i = draws.below(140); i > 0; i--) fields.push({ name: "cookie", value: `${i}`, how: "literal" });
    if (draws.rare(20 * calm)) fields.push({ name: "x-huge", value: "h".repeat(draws.below(9000)), how: "literal" });
    // Indices move with each field that is indexed, so they are taken from a table that moves along.
    const table = [...peer.table];
    let room = peer.maxSize;
    for (const { name, value, how } of fields) {
      const at = table.findIndex((entry) => entry.name === name && entry.value === value);
      if (how === "indexed" && at >= 0 && !draws.rare(20)) integer(out, 0x80, 7, staticEntries + 1 + at);
      else if (how === "indexed" && staticEntry(name, value) > 0) integer(out, 0x80, 7, staticEntry(name, value));
      else {
        const named = table.findIndex((entry) => entry.name === name);
        const first = staticIndexOf(name);
        const index = draws.rare(8) ? 0 : first > 0 ? first : named < 0 ? 0 : staticEntries + 1 + named;
        if (how === "indexed") integer(out, 0x40, 6, index);
        else integer(out, how === "never" ? 0x10 : 0, 4, index);
        if (index === 0) this.#string(out, name);
        this.#string(out, value);
        if (how !== "indexed") continue;
        table.unshift({ name, value, never: false });
        room = peer.maxSize;
        for (const [place, entry] of table.entries()) {
          room -= entry.name.length + entry.value.length + 32;
          if (room < 0) table.length = place;
        }
      }
    }
    if (draws.rare(200 * calm)) out[draws.below(out.length)] = draws.below(256);
    if (draws.rare(1000 * calm)) out.length = draws.below(out.length + 1);
    if (draws.rare(1000)) this.#sizeUpdate(out);
    return Uint8Array.from(out);
  }

  #sizeUpdate(out: number[]): void {
    integer(out, 0x20, 5, this.#draws.of([0, 40, 120, 400, 4096, 4096, 4096, 4096]));
  }

  #string(out: number[], text: string): void {
    const bytes = Buffer.from(text, "latin1");
    if (!this.#draws.rare(2)) {
      integer(out, 0, 7, bytes.length);
      for (const byte of bytes) out.push(byte);
      return;
    }
    const coded = huffmanLength(bytes, 0, bytes.length);
    const target = new Uint8Array(coded + 8);
    encodeHuffman(bytes, 0, bytes.length, target, 0);
    integer(out, 0x80, 7, coded);
    for (let i = 0; i < coded; i++) out.push(target[i] as number);
  }
}

const staticIndices = new Map(
  Array.from({ length: staticEntries }, (_, place) => [place + 1, staticField(place + 1)] as const)
    .filter(([, { value }]) => value !== "")
    .map(([index, { name, value }]) => [`${name} ${value}`, index]),
);

function staticEntry(name: string, value: string): number {
  return staticIndices.get(`${name} ${value}`) ?? 0;
}

function integer(out: number[], first: number, bits: number, value: number): void {
  const mask = (1 << bits) - 1;
  if (value < mask) {
    out.push(first | value);
    return;
  }
  out.push(first | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) out.push((rest & 0x7f) | 0x80);
  out.push(rest);
}

/**
 * I1, I6: what a connection remembers of its header blocks changes nothing of what a proxy makes of each. Longer runs:
 * `HISTORIES_SECONDS=600`, again from `HISTORIES_SEED`.
 */
import { expect, test } from "@jest/globals";
import { FieldBlock } from "../../data-plane/http2/field-block.js";
import { fieldFlag } from "../../data-plane/http2/field-classes.js";
import { decoded, HpackDecoder } from "../../data-plane/http2/hpack-decoder.js";
import { HpackEncoder } from "../../data-plane/http2/hpack-encoder.js";
import { defaultLimits } from "../../data-plane/http2/limits.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { FieldCheck } from "../../data-plane/http2/validate-fields.js";
import { KeptFields } from "../../data-plane/proxy/forward/kept-fields.js";
import { RequestHead } from "../../data-plane/proxy/request-head.js";
import { dropReservedFields } from "../../data-plane/proxy/reserved-fields.js";
import { Draws, HistoryWriter, type Role } from "./header-histories.js";
import { PlainDecoder, type PlainField } from "./plain-hpack.js";

const seconds = Number(process.env.HISTORIES_SECONDS ?? 0);
const firstSeed = Number(process.env.HISTORIES_SEED ?? 20_260_101);
const historiesShort = 80;
const wide = { headerFieldsMax: 128, headerListBytesMax: 16_384 };
const narrow = { headerFieldsMax: 12, headerListBytesMax: 700 };
const tableSizes = [0, 60, 100, 200, 350, 450, 4096, 65_536];
const endless = { headerFieldsMax: 1000, headerListBytesMax: 1_000_000 };

function listOf(fields: FieldBlock): PlainField[] {
  const list: PlainField[] = [];
  for (let field = 0; field < fields.count; field++) {
    if (fields.isDropped(field)) continue;
    const never = (fields.flags(field) & fieldFlag.neverIndexed) !== 0;
    list.push({ name: fields.nameText(field), value: fields.valueText(field), never });
  }
  return list;
}

/** I5: spaces around a value are no part of it, for whoever judges and for whoever is sent it. */
const bare = (value: string): string => value.replace(/^[ \t]+|[ \t]+$/g, "");

/** Only the order of fields with the same name means something. */
function byName(fields: readonly PlainField[]): string {
  const lines = fields.map(({ name, value, never }) => [name, `${name}: ${value} ${never}`] as const);
  return lines
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, line]) => line)
    .join("\n");
}

function same(seen: readonly PlainField[], expected: readonly PlainField[]): void {
  const [one, other] = [byName(seen), byName(expected)];
  if (one !== other) expect(one).toBe(other);
}

/** One connection from a peer, with what a proxy has for all blocks of it. */
class Downstream {
  readonly decoder: HpackDecoder;
  readonly plain: PlainDecoder;
  readonly writer: HistoryWriter;
  readonly later: HistoryWriter;
  readonly check = new FieldCheck();
  readonly role: Role;
  readonly #rules: typeof defaultLimits.requestRules;

  constructor(draws: Draws) {
    const limits = draws.rare(4) ? narrow : wide;
    this.decoder = new HpackDecoder(limits);
    this.plain = new PlainDecoder(limits);
    this.role = draws.of(["request", "response"]);
    this.writer = new HistoryWriter(draws, this.role);
    this.later = new HistoryWriter(draws, "trailers");
    this.#rules = { ...defaultLimits.requestRules, refuseUnderscore: draws.rare(2), grpcOnly: !draws.rare(4) };
  }

  /** All that a proxy makes of a block; it is ready to be sent on then, if `refused` is 0. */
  judge(fields: FieldBlock, role: Role, check: FieldCheck, head: RequestHead, fromPeer: boolean) {
    const refused =
      role === "request"
        ? check.request(fields, this.#rules)
        : role === "response"
          ? check.response(fields)
          : check.trailers(fields);
    const { grpc, contentLength, obsText, obsTextNames, status } = check;
    const about = { refused, grpc, contentLength, obsText, obsTextNames, status };
    if (refused !== 0) return { refused };
    if (role !== "request") {
      dropReservedFields(fields, fromPeer);
      return { ...about, sent: listOf(fields) };
    }
    if (!head.read(fields)) return { ...about, refused: -1 };
    const { timeoutMs, epoch, path, authority, host, te, timeout, traceparent, labels } = head;
    const name = head.authorityText(fields);
    const seen = listOf(fields);
    if (authority >= 0) fields.drop(authority);
    if (traceparent < 0) fields.add("traceparent", "made here");
    const kept = KeptFields.of(fields);
    const asked = ["x-a", "x-b", "te", "grpc-timeout", "cookie", "x-1"].map((header) => kept.header(header));
    const restored = listOf(kept.restore());
    kept.release();
    const places = { path, authority, host, te, timeout, traceparent, labels };
    return { ...about, ...places, timeoutMs, epoch, name, seen, asked, restored, sent: listOf(fields) };
  }
}

/** A connection to the next hop. */
class Upstream {
  readonly encoder = new HpackEncoder();
  readonly plain = new PlainDecoder(endless);

  send(
    first: readonly PreparedField[] | null,
    fields: FieldBlock,
    last: readonly PreparedField[] | null,
  ): PlainField[] {
    let room = 8 + fields.listBytes;
    for (const field of [...(first ?? []), ...(last ?? [])]) room += field.size;
    const out = new Uint8Array(room);
    this.encoder.begin(out, 0);
    this.encoder.message(first, fields, last);
    const end = this.encoder.end();
    if (end > room) throw new Error(`a block of ${end} bytes where there is room for ${room}`);
    const { what, fields: got } = this.plain.decode(out.subarray(0, end));
    if (what !== decoded.ok) throw new Error(`the next hop cannot read the block: ${what}`);
    return [...got];
  }
}

const text = (fields: readonly PreparedField[] | null): PlainField[] =>
  (fields ?? []).map(({ name, value }) => ({
    name: Buffer.from(name).toString("latin1"),
    value: Buffer.from(value).toString("latin1"),
    never: false,
  }));

function run(seed: number): number {
  const draws = new Draws(seed);
  const downstreams = Array.from({ length: 1 + draws.below(3) }, () => new Downstream(draws));
  const upstreams = Array.from({ length: 1 + draws.below(2) }, () => new Upstream());
  for (const { encoder } of upstreams) if (draws.rare(2)) encoder.setTableMax(draws.of(tableSizes));
  const callers = [
    null,
    [new PreparedField("ashlar-caller", "spiffe://test/service/a")],
    [new PreparedField("ashlar-caller", "spiffe://test/service/b")],
    [new PreparedField("ashlar-caller", "c".repeat(400)), new PreparedField("x-last", "5")],
  ];
  const firsts = [null, [new PreparedField(":scheme", "http")], [new PreparedField(":authority", "next")]];
  const head = new RequestHead();
  let known = 0;
  for (let i = 20 + draws.below(100); i > 0 && downstreams.length > 0; i--) {
    const place = draws.below(downstreams.length);
    const from = downstreams[place] as Downstream;
    const role = draws.rare(4) ? "trailers" : from.role;
    const bytes = (role === "trailers" ? from.later : from.writer).next(from.plain);
    // In the middle of other bytes, as in a frame.
    const start = draws.below(20);
    const source = Buffer.concat([Buffer.alloc(start, 0xff), bytes, Buffer.alloc(5, 0xff)]);
    // Entries are about to be given low numbers again.
    if (draws.rare(100)) from.decoder.table.inserted += 2 ** 30;
    const expected = from.plain.decode(bytes);
    const what = from.decoder.decode(source, start, start + bytes.length);
    if (what !== expected.what) expect(what).toBe(expected.what);
    if (what === decoded.error || what === decoded.flood) {
      downstreams.splice(place, 1);
      continue;
    }
    if (what === decoded.tooLarge) continue;
    const { fields } = from.decoder;
    const bareFields = expected.fields.map((field) => ({ ...field, value: bare(field.value) }));
    const fresh = new FieldBlock();
    for (const { name, value, never } of bareFields) fresh.add(name, value, never ? fieldFlag.neverIndexed : 0);
    same(listOf(fields), bareFields);
    expect(fields.listBytes).toBe(fresh.listBytes);
    if (draws.rare(10)) continue; // of a stream that was refused or reset
    const { profile } = fields;
    if (profile !== null && (profile.isRequest || profile.isResponse || profile.isTrailers)) known++;
    const fromPeer = draws.rare(2);
    const seen = from.judge(fields, role, from.check, head, fromPeer);
    const right = from.judge(fresh, role, new FieldCheck(), new RequestHead(), fromPeer);
    if (JSON.stringify(seen) !== JSON.stringify(right)) expect(seen).toEqual(right);
    const upstream = draws.of(upstreams);
    if (draws.rare(40)) {
      for (let n = draws.below(3); n >= 0; n--) upstream.encoder.setTableMax(draws.of(tableSizes));
    }
    if (!("sent" in right)) continue;
    const [first, last] = [role === "request" ? draws.of(firsts) : null, draws.of(callers)];
    const got = upstream.send(first, fields, last);
    same(got, [...text(first), ...right.sent, ...text(last)]);
  }
  return known;
}

test(
  "every block of a connection is judged and sent on as if it were the first",
  () => {
    const endMs = performance.now() + 1000 * seconds;
    let [histories, blocks] = [0, 0];
    for (; histories < historiesShort || performance.now() < endMs; histories++) {
      try {
        blocks += run(firstSeed + histories);
      } catch (error) {
        throw new Error(`HISTORIES_SEED=${firstSeed + histories}`, { cause: error });
      }
    }
    expect(blocks).toBeGreaterThan(5 * historiesShort);
    if (seconds > 0)
      process.stdout.write(`${histories} histories, ${blocks} blocks of known profiles, seed ${firstSeed}\n`);
  },
  1000 * seconds + 60_000,
);

/** Orders to report calls, and the reports that answer them (decision 0046). */
import {
  LookOrder as LookOrderMessage,
  TapReport as TapReportMessage,
  TrafficReport as TrafficReportMessage,
} from "../../proto/gen/ashlar/v1/look.js";
import { AshlarError } from "../errors.js";
import { isWorkload, parseSpiffeId } from "../identity.js";
import {
  callBoundsMs,
  codesCount,
  countsEveryMs,
  countsToldMax,
  type LookOrder,
  lookValidMsMax,
  type TapFilter,
  type TappedCall,
  type TapReport,
  type TrafficCounts,
  type TrafficReport,
  tappedCallsMax,
  toldNameMax,
} from "../look/look-model.js";
import type { Signed } from "../model.js";
import type { KeySet, Signer } from "../signature.js";
import { boundedList, boundedText, integer } from "./bounds.js";
import { checkWriter, type FleetWriter } from "./fleet.js";
import { payloadBytesMax, type RecordCodec, signWith, verifyWith } from "./record-codec.js";
import { decodeStrict, reading } from "./strict.js";

const idBytes = 16;
const reportBytesMax = 512 * 1024;
/** UTF-8 takes up to three bytes for a character that JavaScript counts as one. */
const nameBytesMax = 3 * toldNameMax;

function orderId(bytes: Uint8Array): string {
  if (bytes.length !== idBytes)
    throw new AshlarError("invalid_record", `the id has ${bytes.length} bytes, not ${idBytes}`);
  return Buffer.from(bytes).toString("hex");
}

// === Orders ===

const orderCodec: RecordCodec<LookOrder> = {
  type: "ashlar-look",
  // what an earlier version does anyhow is not said, since that version refuses a field that it does not know
  encode: ({ id, everyMs, ...order }) =>
    LookOrderMessage.encode({
      ...order,
      id: Buffer.from(id, "hex"),
      everyMs: everyMs === countsEveryMs.min ? 0 : everyMs,
    }).finish(),
  parse: (payload) => {
    const message = decodeStrict(LookOrderMessage, payload, "ashlar-look", payloadBytesMax);
    return reading("ashlar-look", () => ({
      id: orderId(message.id),
      tap: message.tap && parseTapFilter(message.tap),
      operator: parseSpiffeId(message.operator),
      issuedMs: integer("issued_ms", message.issuedMs, 0),
      validMs: integer("valid_ms", message.validMs, 0, lookValidMsMax),
      everyMs: integer("every_ms", message.everyMs || countsEveryMs.min, countsEveryMs.min, countsEveryMs.max),
    }));
  },
};

/** Signs an order. Fails with `invalid_record`. */
export function signLookOrder(order: LookOrder, mesh: string, signer: Signer): Signed<LookOrder> {
  return signWith(orderCodec, order, mesh, signer);
}

/** Verifies and then parses an order. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown. */
export function verifyLookOrder(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<LookOrder> {
  return verifyWith(orderCodec, bytes, mesh, keys);
}

/** Checks a filter that an operator sent; fails with `invalid_record` and names the field. */
export function parseTapFilter(filter: TapFilter): TapFilter {
  const { service, caller, method, refused, slowMs } = filter;
  if (service !== "" && !isWorkload(service))
    throw new AshlarError("invalid_record", `service is no name of a service: ${JSON.stringify(service.slice(0, 80))}`);
  if (caller !== "" && !isWorkload(caller)) parseSpiffeId(caller);
  if (method !== "" && !/^[^/\s]+\/[^/\s]+$/.test(method))
    throw new AshlarError("invalid_record", `method is no "package.Service/Method" or "package.Service/*"`);
  boundedText("method", method, nameBytesMax);
  return { service, caller, method, refused, slowMs: integer("slow_ms", slowMs, 0, 0xffff_ffff) };
}

// === Counts ===

export function encodeTrafficReport(report: TrafficReport, { service, proxyId }: FleetWriter): Uint8Array {
  return TrafficReportMessage.encode({
    service,
    proxyId,
    order: Buffer.from(report.order, "hex"),
    intervalMs: report.intervalMs,
    counts: report.counts.map((counts) => ({
      ...counts,
      codes: counts.codes.flatMap((count, code) => (count === 0 ? [] : [code, count])),
      took: [...counts.took],
    })),
  }).finish();
}

/** Parses a report that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseTrafficReport(bytes: Uint8Array, writer: FleetWriter): TrafficReport {
  const message = decodeStrict(TrafficReportMessage, bytes, "traffic report", reportBytesMax);
  return reading("traffic report", () => {
    checkWriter(message, writer);
    return {
      order: orderId(message.order),
      intervalMs: integer("interval_ms", message.intervalMs, 0),
      counts: boundedList("counts", message.counts, countsToldMax).map(
        ({ outbound, other, method, version, codes, took, streams }): TrafficCounts => ({
          outbound,
          other: boundedText("other", other, nameBytesMax),
          method: boundedText("method", method, nameBytesMax),
          version: boundedText("version", version, nameBytesMax),
          codes: codesOf(codes),
          took: tookOf(took),
          streams: integer("streams", streams, 0),
        }),
      ),
    };
  });
}

function codesOf(pairs: readonly number[]): readonly number[] {
  const codes = new Array<number>(codesCount).fill(0);
  boundedList("codes", pairs, 2 * codesCount);
  for (let at = 0; at < pairs.length; at += 2) {
    const code = integer("codes", pairs[at] ?? 0, 0, codesCount - 1);
    codes[code] = integer("codes", pairs[at + 1] ?? -1, 0);
  }
  return codes;
}

function tookOf(took: readonly number[]): readonly number[] {
  if (took.length !== callBoundsMs.length + 1)
    throw new AshlarError("invalid_record", `took has ${took.length} items, not ${callBoundsMs.length + 1}`);
  return took.map((count) => integer("took", count, 0));
}

// === Single calls ===

export function encodeTapReport({ order, calls, dropped }: TapReport, { service, proxyId }: FleetWriter): Uint8Array {
  return TapReportMessage.encode({
    service,
    proxyId,
    order: Buffer.from(order, "hex"),
    calls: [...calls],
    dropped,
  }).finish();
}

/** Parses a report that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseTapReport(bytes: Uint8Array, writer: FleetWriter): TapReport {
  const message = decodeStrict(TapReportMessage, bytes, "tap report", reportBytesMax);
  return reading("tap report", () => {
    checkWriter(message, writer);
    return {
      order: orderId(message.order),
      calls: boundedList("calls", message.calls, tappedCallsMax).map((call) => parseTapped(call, writer)),
      dropped: integer("dropped", message.dropped, 0),
    };
  });
}

/** Refuses calls that are not of the proxy's own service, which its certificate names. */
function parseTapped(call: TappedCall, { service }: FleetWriter): TappedCall {
  if ((call.outbound ? call.caller : call.service) !== service)
    throw new AshlarError("invalid_record", `a call that is not of ${service}`);
  for (const field of ["caller", "service", "method", "version", "reason", "decision", "traceId"] as const)
    boundedText(field, call[field], nameBytesMax);
  integer("time_ms", call.timeMs, 0);
  integer("code", call.code, 0, codesCount - 1);
  integer("revision", call.revision, 0);
  if (!(call.tookMs >= 0 && call.tookMs <= Number.MAX_SAFE_INTEGER))
    throw new AshlarError("invalid_record", "took_ms is no duration");
  return call;
}

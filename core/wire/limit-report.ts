/** Reports about shared limits. As with heartbeats, a signed statement names the writer. */
import { LimitReport as LimitReportMessage } from "../../proto/gen/ashlar/v1/fleet.js";
import { AshlarError } from "../errors.js";
import { type LimitReport, reportedKeysMax, reportedLimitsMax } from "../limit/limit-report.js";
import { boundedList, integer } from "./bounds.js";
import { checkWriter, type FleetWriter } from "./fleet.js";
import { decodeStrict, reading } from "./strict.js";

const reportBytesMax = 256 * 1024;
const digestBytes = 16;

export function encodeLimitReport(report: LimitReport, { service, proxyId }: FleetWriter): Uint8Array {
  const bytesOf = (digest: string): Buffer => Buffer.from(digest, "base64url");
  const milli = (value: number): number => Math.min(Math.round(value * 1000), Number.MAX_SAFE_INTEGER);
  return LimitReportMessage.encode({
    service,
    proxyId,
    limits: report.limits.map(({ limit, keys }) => ({
      limit: bytesOf(limit),
      keys: keys.map(({ key, perSecond, released }) => ({
        key: bytesOf(key),
        demandMilli: milli(perSecond),
        releasedMilli: milli(released),
      })),
    })),
  }).finish();
}

/** Parses a report that arrived on the subject of `writer`; fails with `invalid_record` or `limit`. */
export function parseLimitReport(bytes: Uint8Array, writer: FleetWriter): LimitReport {
  const message = decodeStrict(LimitReportMessage, bytes, "limit report", reportBytesMax);
  return reading("limit report", () => {
    checkWriter(message, writer);
    return {
      limits: boundedList("limits", message.limits, reportedLimitsMax).map(({ limit, keys }) => ({
        limit: digestOfBytes("limit", limit),
        keys: boundedList("keys", keys, reportedKeysMax).map(({ key, demandMilli, releasedMilli }) => ({
          key: digestOfBytes("key", key),
          perSecond: integer("demand_milli", demandMilli, 0) / 1000,
          released: integer("released_milli", releasedMilli, 0) / 1000,
        })),
      })),
    };
  });
}

function digestOfBytes(field: string, bytes: Uint8Array): string {
  if (bytes.length !== digestBytes)
    throw new AshlarError("invalid_record", `${field} has ${bytes.length} bytes, not ${digestBytes}`);
  return Buffer.from(bytes).toString("base64url");
}

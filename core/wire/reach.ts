/** The part of a heartbeat about other proxies. */
import type { ReachReport as ReachReportMessage } from "../../proto/gen/ashlar/v1/fleet.js";
import { AshlarError } from "../errors.js";
import { ejectedToldMax, type ReachReport, reachedToldMax, reachWhyMax, unreachedToldMax } from "../reach.js";
import { ascending, boundedList, boundedText, hostAndPort, isProxyId } from "./bounds.js";

/** Returns the report as it is encoded in a heartbeat. */
export function encodeReach({ unreached, reached, ejected = [] }: ReachReport): ReachReportMessage {
  const copied = <Each extends object>(list: readonly Each[]): Each[] => list.map((one) => ({ ...one }));
  return { unreached: copied(unreached), reached: [...reached], ejected: copied(ejected) };
}

/** Parses the report. Fails with `invalid_record`. */
export function parseReach(message: ReachReportMessage): ReachReport {
  const unreached = boundedList("reach.unreached", message.unreached, unreachedToldMax).map((one) => ({
    proxyId: proxyId("reach.unreached.proxy_id", one.proxyId),
    address: hostAndPort("reach.unreached.address", one.address),
    why: line("reach.unreached.why", one.why),
  }));
  const reached = boundedList("reach.reached", message.reached, reachedToldMax).map((id) =>
    proxyId("reach.reached", id),
  );
  const ejected = boundedList("reach.ejected", message.ejected, ejectedToldMax).map((one) => ({
    proxyId: proxyId("reach.ejected.proxy_id", one.proxyId),
    why: line("reach.ejected.why", one.why),
  }));
  return {
    unreached: ascending("reach.unreached", unreached, (one) => one.proxyId),
    reached: ascending("reach.reached", reached, (id) => id),
    ...(ejected.length > 0 && { ejected: ascending("reach.ejected", ejected, (one) => one.proxyId) }),
  };
}

function proxyId(field: string, text: string): string {
  if (!isProxyId(text)) throw new AshlarError("invalid_record", `${field} is not a proxy's id`);
  return text;
}

/** Returns `text` if it is a bounded line of printable ASCII, because people see it in their terminals. */
function line(field: string, text: string): string {
  if (!/^[\x20-\x7e]+$/.test(text)) throw new AshlarError("invalid_record", `${field} is empty or not printable ASCII`);
  return boundedText(field, text, reachWhyMax);
}

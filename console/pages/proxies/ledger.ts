/**
 * The ledger of proxies: one row for each, with what it reports, whether it is behind, and the state of its endpoint.
 */
import type { EndpointInfo, ProxyConvergence, ProxyInfo, ServiceInfo } from "../../api/messages.js";
import type { Tone } from "../../format/codes.js";

/** The facts about one proxy. `proxy` is undefined if the proxy was issued an identity but never reported. */
export interface Row {
  readonly id: string;
  readonly service: string;
  readonly version: string;
  readonly proxy: ProxyInfo | undefined;
  readonly convergence: ProxyConvergence | undefined;
  readonly endpoint: EndpointInfo | undefined;
  readonly state: State;
}

export interface State {
  readonly word: string;
  readonly tone: Tone;
  /** Why the row is in this state: one sentence, or empty. */
  readonly why: string;
  /** Whether the proxy does not evaluate the revision that it should. */
  readonly behind: boolean;
}

export function buildLedger(
  proxies: readonly ProxyInfo[],
  convergence: readonly ProxyConvergence[],
  services: readonly ServiceInfo[],
): readonly Row[] {
  const told = new Map(convergence.map((entry) => [entry.id, entry]));
  const endpoints = new Map(services.flatMap((service) => service.endpoints.map((entry) => [entry.proxyId, entry])));
  const known = new Map(proxies.map((entry) => [entry.id, entry]));
  const ids = new Set([...known.keys(), ...told.keys()]);
  const rows = [...ids].map((id): Row => {
    const proxy = known.get(id);
    const far = told.get(id);
    return {
      id,
      service: proxy?.service ?? far?.service ?? "",
      version: proxy?.version ?? far?.version ?? "",
      proxy,
      convergence: far,
      endpoint: endpoints.get(id),
      state: stateOf(proxy, far),
    };
  });
  return rows.sort((a, b) => compare(a.service, b.service) || compare(a.id, b.id));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export function stateOf(proxy: ProxyInfo | undefined, far: ProxyConvergence | undefined): State {
  if (proxy !== undefined && proxy.revokedMs > 0)
    return { word: "revoked", tone: "bad", why: proxy.revokedReason || "Its identity was revoked.", behind: false };
  const why = far?.reason ?? "";
  switch (far?.state) {
    case "converged":
      return { word: "up to date", tone: "ok", why, behind: false };
    case "prepared":
      return { word: "prepared", tone: "ok", why, behind: false };
    case "not-evaluating":
      return { word: "switching", tone: "warn", why, behind: true };
    case "not-seen":
      return { word: "has not seen it", tone: "warn", why, behind: true };
    case "not-prepared":
      return { word: "preparing", tone: "warn", why, behind: true };
    case "rejected":
      return { word: "rejected it", tone: "bad", why: why || (proxy?.rejectedReason ?? ""), behind: true };
    case "silent":
      return { word: "silent", tone: "bad", why, behind: true };
    case "unknown":
      return { word: "never heard of", tone: "bad", why, behind: true };
    default:
      return proxy?.active === true
        ? { word: "up to date", tone: "ok", why, behind: false }
        : { word: "behind", tone: "warn", why, behind: true };
  }
}

export interface LedgerFilter {
  readonly search: string;
  readonly behindOnly: boolean;
}

export function filterLedger(rows: readonly Row[], { search, behindOnly }: LedgerFilter): readonly Row[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (behindOnly && !row.state.behind && row.state.tone === "ok" && row.endpoint?.healthy !== false) return false;
    const text = [
      row.id,
      row.service,
      row.version,
      row.state.word,
      row.state.why,
      row.endpoint?.address,
      row.endpoint?.instance,
    ]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** How long a certificate is valid, in milliseconds. A proxy renews its certificate every hour. */
const certificateMs = 86_400_000;

export interface Certificate {
  readonly leftMs: number;
  /** The share of the certificate's validity that remains, from 0 to 1. */
  readonly share: number;
  readonly tone: "ok" | "warn" | "bad";
}

export function certificateOf(expiresMs: number, nowMs: number): Certificate {
  const leftMs = expiresMs - nowMs;
  const share = Math.min(1, Math.max(0, leftMs / certificateMs));
  return { leftMs, share, tone: leftMs <= 3_600_000 ? "bad" : share < 0.5 ? "warn" : "ok" };
}

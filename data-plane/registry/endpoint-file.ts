/**
 * The endpoints that a proxy knew, kept on its disk. A restart without NATS still finds all instances, and prefers
 * those heard of lately.
 */
import type { Endpoint } from "../../core/model.js";
import { encodeEndpoint, parseEndpoint } from "../../core/wire/fleet.js";
import { encodeStateFile, parseStateFile } from "../sync/state-file.js";
import type { StateFolder } from "../sync/state-folder.js";
import { instancesMax, type StatedEndpoint } from "./registry-state.js";

const fileName = "endpoints";
/** How much older than the newest an endpoint may have been heard of and still be preferred, in milliseconds. */
const recentMs = 60_000;

/** An endpoint with the time at which its proxy was last heard of, in Unix milliseconds. */
export interface SavedEndpoint extends Omit<StatedEndpoint, "recent"> {
  readonly heardMs: number;
}

/** Returns the saved endpoints by service. Fails with `invalid_record` or `unavailable`. */
export async function loadEndpoints(
  folder: Pick<StateFolder, "read">,
  nowMs: number,
): Promise<ReadonlyMap<string, StatedEndpoint[]>> {
  const bytes = await folder.read(fileName);
  const { endpoints } = bytes === undefined ? { endpoints: [] } : parseStateFile(bytes);
  const saved = (Array.isArray(endpoints) ? (endpoints as unknown[]) : []).flatMap(readOne);
  const newestMs = saved.reduce((max, { heardMs }) => Math.max(max, heardMs), 0);
  const byService = new Map<string, StatedEndpoint[]>();
  for (const { heardMs, ...stated } of saved) {
    const recent = heardMs > newestMs - recentMs && stated.endsMs > nowMs;
    const list = byService.get(stated.endpoint.service) ?? [];
    list.push({ ...stated, recent });
    byService.set(stated.endpoint.service, list);
  }
  return byService;
}

/** Writes the endpoints to the file. Fails with `unavailable`. */
export async function saveEndpoints(folder: Pick<StateFolder, "write">, all: readonly SavedEndpoint[]): Promise<void> {
  const endpoints = all
    .slice(0, instancesMax)
    .map(({ endpoint, heardMs, serial, endsMs }) => [
      endpoint.service,
      endpoint.proxyId,
      Buffer.from(encodeEndpoint(endpoint)).toString("base64"),
      Math.round(heardMs),
      serial ?? "",
      Math.min(endsMs, Number.MAX_SAFE_INTEGER),
    ]);
  await folder.write(fileName, encodeStateFile({ endpoints }));
}

function readOne(item: unknown): SavedEndpoint[] {
  const [service, proxyId, text, heard, serial, ends]: unknown[] = Array.isArray(item) ? item : [];
  if (typeof service !== "string" || typeof proxyId !== "string" || typeof text !== "string") return [];
  const endpoint: Endpoint = parseEndpoint(new Uint8Array(Buffer.from(text, "base64")), { service, proxyId });
  return [
    {
      endpoint,
      heardMs: typeof heard === "number" ? heard : 0, // older versions did not store it
      serial: typeof serial === "string" && serial !== "" ? serial : undefined,
      endsMs: typeof ends === "number" ? ends : Number.MAX_SAFE_INTEGER,
    },
  ];
}

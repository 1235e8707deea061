/**
 * Opens what the listeners of a gateway need besides calls: certificates, which are watched for changes, and
 * descriptors.
 */
import { onAbort } from "../../runtime/abort.js";
import type { Logger } from "../../runtime/log.js";
import type { MakeEdge } from "../proxy/carrier.js";
import { Edge, type EdgeDeps } from "./edge.js";
import type { EdgeConfig } from "./edge-config.js";
import { EdgeHops } from "./edge-hops.js";
import { EdgeTls } from "./edge-tls.js";
import { Descriptors } from "./web/descriptors.js";

export interface EdgeParts extends Pick<EdgeDeps, "clock" | "trust" | "decisions"> {
  readonly log: Logger;
  /** Whether another process accepts and counts connections. */
  readonly isAdmitted: boolean;
}

/** The milliseconds between two checks of a gateway's files. */
const certificatesEveryMs = 2000;

/**
 * Reads the certificates of the gateway `workload`, now and whenever they change, until `signal` aborts. Fails with
 * `invalid_argument` if one cannot be used.
 */
export async function openListeners(
  edge: EdgeConfig,
  workload: string,
  { clock, trust, decisions, log, isAdmitted }: EdgeParts,
  signal: AbortSignal,
): Promise<MakeEdge[]> {
  const { descriptors, listeners } = await readFiles(edge, log);
  const timer = setInterval(() => {
    for (const { files } of listeners) void files?.look();
  }, certificatesEveryMs).unref();
  onAbort(signal, () => clearInterval(timer));
  const hops = new EdgeHops(edge.hops);
  return listeners.map(
    ({ config, files }): MakeEdge =>
      (deps, options) =>
        new Edge(
          { ...deps, clock, trust, decisions },
          { ...options, workload, config, files, descriptors, hops, isAdmitted, listeners: listeners.length },
        ),
  );
}

/** Reads the files of a gateway once. Fails with `invalid_argument` if one cannot be used. */
export async function readFiles({ descriptors: paths, listeners }: EdgeConfig, log: Logger) {
  const descriptors = paths.length === 0 ? undefined : await Descriptors.open(paths);
  const opened = listeners.map(async (config) => {
    return { config, files: config.certificates.length === 0 ? undefined : await EdgeTls.open(config, log) };
  });
  return { descriptors, listeners: await Promise.all(opened) };
}

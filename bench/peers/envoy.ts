import type { BenchIdentities } from "../proxy/certificates.js";
import type { PairPorts, Peer } from "../proxy/peers.js";
import { authorization, callStats, configOf, tls, transport } from "./envoy-config.js";

/** The caller's half; `more` is what a bench wants different from a pair of `bench:proxy`. */
export function outboundEnvoy(
  { outbound, inbound }: PairPorts,
  { ca, client }: BenchIdentities,
  more: { readonly routesFolder?: string; readonly moreServices?: number } = {},
): string {
  const context = { sni: "localhost", common_tls_context: tls(ca, client, "server") };
  const clusterSocket = transport("Upstream", context);
  return configOf({ port: outbound, to: inbound, filters: [callStats], clusterSocket, ...more });
}

function inboundEnvoy({ inbound, backend }: PairPorts, { ca, server }: BenchIdentities): string {
  const context = { require_client_certificate: true, common_tls_context: tls(ca, server, "client") };
  const listenerSocket = transport("Downstream", context);
  return configOf({ port: inbound, to: backend, filters: [authorization, callStats], listenerSocket });
}

/** On the PATH, or by the path in the variable ENVOY. */
export const envoyCommand = process.env.ENVOY || "envoy";

/**
 * Envoy, configured from the reference of its v3 API to do for a call what the mesh does: the inbound half asks for a
 * certificate and allows one SPIFFE ID one method (RBAC); the outbound half routes by method and header, with a time-out that
 * caps the caller's, and takes no server but the one with the right SPIFFE ID. Both count calls by method and status. One worker
 * thread each; no access log, and no counterpart to decision records.
 */
export const envoy: Peer = {
  name: "Envoy",
  command: envoyCommand,
  versionArguments: ["--version"],
  fileEnding: "json",
  outbound: (ports, identities) => outboundEnvoy(ports, identities),
  inbound: inboundEnvoy,
  arguments: (file) => ["-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
};

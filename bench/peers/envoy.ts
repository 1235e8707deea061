import type { BenchIdentities } from "../proxy/certificates.js";
import type { PairPorts, Peer } from "../proxy/peers.js";
import { authorization, callStats, configOf, tls, transport } from "./envoy-config.js";

/**
 * Returns the configuration of the caller's half. `more`: what a bench wants to differ from a pair of `bench:proxy`.
 */
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

/** The command of Envoy: the path in the variable ENVOY, else `envoy` on the PATH. */
export const envoyCommand = process.env.ENVOY || "envoy";

/**
 * Envoy, configured by the reference of its v3 API to do for a call what the mesh does. The inbound half asks for a
 * certificate and allows one SPIFFE ID one method (RBAC). The outbound half routes by method and header, with a
 * time-out that caps the caller's, and accepts only the server with the right SPIFFE ID. Both count calls by method and
 * status. Each has one worker thread, no access log, and nothing like decision records.
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

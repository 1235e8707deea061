/**
 * HAProxy, nginx and Envoy in place of a gateway: TLS without client certificates in, mutual TLS to the application
 * out.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { envoyCommand } from "../peers/envoy.js";
import { callStats, configOf, filter, tls, transport } from "../peers/envoy-config.js";
import type { BenchIdentities } from "../proxy/certificates.js";
import type { Contender } from "../proxy/contenders.js";
import { freePort, type Processes, untilListening, versionOf } from "../proxy/pair.js";
import { haproxy, haproxyHead, nginx, nginxAround } from "../proxy/peers.js";

interface EdgePeer {
  readonly name: string;
  readonly command: string;
  readonly versionArguments: readonly string[];
  readonly fileEnding: string;
  arguments(file: string, folder: string): readonly string[];
  /** Returns the configuration. `to`: the application's port. */
  config(port: number, to: number, identities: BenchIdentities, folder: string): string;
}

const haproxyEdge: EdgePeer = {
  ...haproxy,
  fileEnding: "conf",
  config: (port, to, { ca, client, server }) => `${haproxyHead}
frontend in
  bind 127.0.0.1:${port} ssl crt ${server.both} alpn h2
  default_backend out
backend out
  server application 127.0.0.1:${to} ssl crt ${client.both} ca-file ${ca} verify required alpn h2 proto h2
`,
};

const nginxEdge: EdgePeer = {
  ...nginx,
  fileEnding: "conf",
  config: (port, to, { ca, client, server }, folder) =>
    nginxAround(
      folder,
      "edge",
      `  upstream out { server 127.0.0.1:${to}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${server.certificate};
    ssl_certificate_key ${server.key};
    location / {
      grpc_pass grpcs://out;
      grpc_ssl_certificate ${client.certificate};
      grpc_ssl_certificate_key ${client.key};
      grpc_ssl_trusted_certificate ${ca};
      grpc_ssl_verify on;
      grpc_ssl_name localhost;
    }
  }`,
    ),
};

/** Envoy with the filters that turn gRPC-Web and unary calls of Connect into gRPC. */
const envoyEdge: EdgePeer = {
  ...{ name: "Envoy", command: envoyCommand, versionArguments: ["--version"], fileEnding: "json" },
  arguments: (file) => ["-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
  config: (port, to, { ca, client, server }) => {
    const own = { certificate_chain: { filename: server.certificate }, private_key: { filename: server.key } };
    const context = { common_tls_context: { alpn_protocols: ["h2", "http/1.1"], tls_certificates: [own] } };
    return configOf({
      ...{ port, to, isForWeb: true },
      filters: [filter("connect_grpc_bridge", "FilterConfig"), filter("grpc_web", "GrpcWeb"), callStats],
      listenerSocket: transport("Downstream", context),
      clusterSocket: transport("Upstream", { sni: "localhost", common_tls_context: tls(ca, client, "server") }),
    });
  },
};

const loadFlags = ["--tls", "--authority", "localhost"];

/** Starts the peers that are installed, in front of the application at port `to`. Prints which were left out. */
export async function startEdgePeers(
  processes: Processes,
  folder: string,
  identities: BenchIdentities,
  to: number,
): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const peer of [haproxyEdge, nginxEdge, envoyEdge]) {
    const version = versionOf(peer.command, peer.versionArguments);
    if (version === undefined || /not found/.test(version)) {
      console.log(`${peer.name}: not found, left out`);
      continue;
    }
    console.log(`${peer.name}: ${version}`);
    const port = await freePort();
    const file = join(folder, `${peer.name}-edge.${peer.fileEnding}`);
    writeFileSync(file, peer.config(port, to, identities, folder));
    const child = processes.start(peer.command, peer.arguments(file, folder));
    await untilListening(port);
    contenders.push({ name: peer.name, port, pids: [child.pid ?? 0], loadFlags });
  }
  return contenders;
}

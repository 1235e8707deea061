import type { BenchIdentities } from "./certificates.js";

/** A port of the loopback address, or the path of a Unix socket. */
export type Place = number | string;

/** The places of a pair: plain in → `outbound` → mutual TLS → `inbound` → plain out to `backend`. */
export interface PairPorts {
  readonly outbound: Place;
  readonly inbound: number;
  readonly backend: Place;
}

/** Returns a place as configurations write it; `unix` goes before the path of a socket. */
export const placeText = (place: Place, unix: string): string =>
  typeof place === "string" ? `${unix}${place}` : `127.0.0.1:${place}`;

/** How a peer is run as one half of a pair. */
export interface Peer {
  readonly name: string;
  readonly command: string;
  readonly versionArguments: readonly string[];
  /** Return the configuration of each half, and the arguments that start it from a file. */
  outbound(ports: PairPorts, identities: BenchIdentities, folder: string): string;
  inbound(ports: PairPorts, identities: BenchIdentities, folder: string): string;
  arguments(file: string, folder: string): readonly string[];
  /** The ending of the configuration's file name, for a peer that goes by it. */
  readonly fileEnding?: string;
}

export const haproxyHead = `
global
  nbthread 1
  maxconn 4000
  ssl-server-verify required
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 10m
  timeout server 10m
`;

export const haproxy: Peer = {
  name: "HAProxy",
  command: "haproxy",
  versionArguments: ["-v"],
  outbound: (ports, { ca, client }) => `${haproxyHead}
frontend in
  bind ${placeText(ports.outbound, "unix@")} proto h2
  default_backend out
backend out
  server peer 127.0.0.1:${ports.inbound} ssl crt ${client.both} ca-file ${ca} verify required alpn h2 proto h2
`,
  inbound: (ports, { ca, server }) => `${haproxyHead}
frontend in
  bind 127.0.0.1:${ports.inbound} ssl crt ${server.both} ca-file ${ca} verify required alpn h2
  default_backend out
backend out
  server application ${placeText(ports.backend, "unix@")} proto h2
`,
  arguments: (file) => ["-db", "-f", file],
};

export function nginxAround(folder: string, half: string, inner: string): string {
  return `
daemon off;
master_process off;
pid ${folder}/${half}.pid;
error_log ${folder}/${half}.log warn;
events { worker_connections 4000; }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  client_max_body_size 0;
  keepalive_requests 1000000000;
  http2_max_concurrent_streams 1000;
  grpc_read_timeout 10m;
  grpc_send_timeout 10m;
${inner}
}
`;
}

export const nginx: Peer = {
  name: "nginx",
  command: "nginx",
  versionArguments: ["-v"],
  outbound: (ports, { ca, client }, folder) =>
    nginxAround(
      folder,
      "outbound",
      `  upstream out { server 127.0.0.1:${ports.inbound}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen ${placeText(ports.outbound, "unix:")} http2;
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
  inbound: (ports, { ca, server }, folder) =>
    nginxAround(
      folder,
      "inbound",
      `  upstream out { server ${placeText(ports.backend, "unix:")}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${ports.inbound} ssl http2;
    ssl_certificate ${server.certificate};
    ssl_certificate_key ${server.key};
    ssl_client_certificate ${ca};
    ssl_verify_client on;
    location / { grpc_pass grpc://out; }
  }`,
    ),
  arguments: (file, folder) => ["-p", folder, "-c", file],
};

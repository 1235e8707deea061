import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../proxy/peers.js";

const callsMax = 100_000;

/** Limits of a cluster. The default is 1024 open calls, which a bench with 100x10 would come close to. */
const limits = { thresholds: [{ max_connections: callsMax, max_pending_requests: callsMax, max_requests: callsMax }] };

const http2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 1000 } },
  },
};

const inFile = (filename: string) => ({ filename });

/** Returns a TLS context with its own certificate, which accepts peers signed by the CA with one SPIFFE ID. */
export function tls(ca: string, own: { readonly certificate: string; readonly key: string }, peer: string) {
  const names = [{ san_type: "URI", matcher: { exact: `spiffe://bench/service/${peer}` } }];
  return {
    alpn_protocols: ["h2"],
    tls_certificates: [{ certificate_chain: inFile(own.certificate), private_key: inFile(own.key) }],
    validation_context: { trusted_ca: inFile(ca), match_typed_subject_alt_names: names },
  };
}

export const transport = (kind: "Downstream" | "Upstream", fields: object) => ({
  name: "envoy.transport_sockets.tls",
  typed_config: {
    "@type": `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${kind}TlsContext`,
    ...fields,
  },
});

const address = (place: Place) =>
  typeof place === "string"
    ? { pipe: { path: place } }
    : { socket_address: { address: "127.0.0.1", port_value: place } };

export const filter = (name: string, type: string, fields: object = {}) => ({
  name: `envoy.filters.http.${name}`,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${name}.v3.${type}`, ...fields },
});

/** Allows one service to call one method and refuses everything else. */
export const authorization = filter("rbac", "RBAC", {
  rules: {
    action: "ALLOW",
    policies: {
      "front-calls": {
        permissions: [{ url_path: { path: { exact: "/bench.Echo/Call" } } }],
        principals: [{ authenticated: { principal_name: { exact: "spiffe://bench/service/client" } } }],
      },
    },
  },
});

/** Counts calls of one method by status. */
export const callStats = filter("grpc_stats", "FilterConfig", {
  individual_method_stats_allowlist: { services: [{ name: "bench.Echo", method_names: ["Call"] }] },
});

const router = filter("router", "Router", { suppress_envoy_headers: true });

/** The header that a route adds to every response, so that a bench sees when a change is in force. */
export const mark = "x-mark";

const routeType = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/** Returns one route by method and header. What is no gRPC call of the service finds no route. */
function routesOf(marked: number | undefined, isForWeb = false): object {
  const grpc = { name: "content-type", string_match: { prefix: "application/grpc" } };
  const rule = {
    match: { prefix: "/bench.Echo/", ...(!isForWeb && { headers: [grpc] }) },
    route: { cluster: "next", timeout: "60s", max_stream_duration: { grpc_timeout_header_max: "0s" } },
    ...(marked !== undefined && {
      response_headers_to_add: [
        { header: { key: mark, value: String(marked) }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
      ],
    }),
  };
  return { name: "calls", virtual_hosts: [{ name: "all", domains: ["*"], routes: [rule] }] };
}

/** Writes routes that mark responses into the folder that an Envoy watches, by a rename as Envoy's reference asks. */
export function putRoutes(folder: string, marked: number): void {
  const response = { version_info: String(marked), resources: [{ "@type": routeType, ...routesOf(marked) }] };
  const next = join(folder, "routes.next");
  writeFileSync(next, JSON.stringify(response));
  renameSync(next, join(folder, "routes.json"));
}

export interface EnvoyHalf {
  readonly port: Place;
  readonly to: Place;
  /** The filters before the router. */
  readonly filters: readonly object[];
  /** The transport sockets. Left out: the connection is not encrypted. */
  readonly listenerSocket?: object;
  readonly clusterSocket?: object;
  /** The folder of `putRoutes`. Left out: the routes are part of the configuration. */
  readonly routesFolder?: string;
  /** Whether the listener also takes HTTP/1.1 and calls that are not gRPC. */
  readonly isForWeb?: boolean;
  /** The number of further clusters, each with a virtual host of its own. */
  readonly moreServices?: number;
}

/** Returns Envoy's bootstrap file for one listener in front of one cluster. */
export function configOf(half: EnvoyHalf): string {
  const { listenerSocket, clusterSocket, routesFolder, moreServices = 0, isForWeb = false } = half;
  const watched = routesFolder && {
    path_config_source: { path: join(routesFolder, "routes.json"), watched_directory: { path: routesFolder } },
    resource_api_version: "V3",
  };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "calls",
    codec_type: isForWeb ? "AUTO" : "HTTP2",
    http2_protocol_options: { max_concurrent_streams: 1000 },
    generate_request_id: false,
    http_filters: [...half.filters, router],
    ...(watched
      ? { rds: { route_config_name: "calls", config_source: watched } }
      : { route_config: withMore(moreServices, isForWeb) }),
  };
  const listener = {
    name: "in",
    address: address(half.port),
    filter_chains: [
      {
        filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }],
        ...(listenerSocket && { transport_socket: listenerSocket }),
      },
    ],
  };
  const names = ["next", ...Array.from({ length: moreServices }, (_, index) => `service-${index}`)];
  const clusters = names.map((name) => ({
    name,
    type: "STATIC",
    connect_timeout: "5s",
    circuit_breakers: limits,
    typed_extension_protocol_options: http2,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(half.to) } }] }],
    },
    ...(clusterSocket && { transport_socket: clusterSocket }),
  }));
  return JSON.stringify({
    node: { id: "bench", cluster: "bench" },
    static_resources: { listeners: [listener], clusters },
  });
}

function withMore(services: number, isForWeb: boolean): object {
  const own = routesOf(undefined, isForWeb) as { readonly virtual_hosts: readonly object[] };
  const more = Array.from({ length: services }, (_, index) => ({
    name: `service-${index}`,
    domains: [`service-${index}`],
    routes: [{ match: { prefix: "/bench.Echo/" }, route: { cluster: `service-${index}` } }],
  }));
  return { ...own, virtual_hosts: [...own.virtual_hosts, ...more] };
}

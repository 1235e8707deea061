import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../proxy/peers.js";

const callsMax = 100_000;

/** Clusters end up with a limit of 1024 open calls by default, which a bench with 100x10 would come near to. */
const limits = { thresholds: [{ max_connections: callsMax, max_pending_requests: callsMax, max_requests: callsMax }] };

const http2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 1000 } },
  },
};

const inFile = (filename: string) => ({ filename });

/** Its own certificate, and whose certificate it takes: signed by the CA, for one SPIFFE ID. */
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

/** One service may call one method; nothing else is answered with anything but a refusal. */
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

/** By status, for one method by its name. */
export const callStats = filter("grpc_stats", "FilterConfig", {
  individual_method_stats_allowlist: { services: [{ name: "bench.Echo", method_names: ["Call"] }] },
});

const router = filter("router", "Router", { suppress_envoy_headers: true });

/** What a route adds to the head of every response, for a bench that looks when a change is in force. */
export const mark = "x-mark";

const routeType = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/** One rule by method and header: what is no gRPC call of the service finds no route. */
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

/** Puts routes that mark responses into the folder that an Envoy watches, at once as its reference asks: by a rename. */
export function putRoutes(folder: string, marked: number): void {
  const response = { version_info: String(marked), resources: [{ "@type": routeType, ...routesOf(marked) }] };
  const next = join(folder, "routes.next");
  writeFileSync(next, JSON.stringify(response));
  renameSync(next, join(folder, "routes.json"));
}

export interface EnvoyHalf {
  readonly port: Place;
  readonly to: Place;
  /** Filters before the router. */
  readonly filters: readonly object[];
  /** Transport sockets; without one the connection is plain. */
  readonly listenerSocket?: object;
  readonly clusterSocket?: object;
  /** The folder of `putRoutes`; without it the routes are part of the configuration. */
  readonly routesFolder?: string;
  /** Takes HTTP/1.1 too, and calls that are not gRPC's. */
  readonly isForWeb?: boolean;
  /** How many clusters there are besides, each with a virtual host of its own. */
  readonly moreServices?: number;
}

/** One listener before one cluster, as the text of Envoy's bootstrap file. */
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

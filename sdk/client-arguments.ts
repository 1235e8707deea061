import type { ChannelCredentials, ClientOptions } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import { isLabel } from "../core/identity.js";
import type { ApplicationGrpc } from "./application-grpc.js";

/** The arguments of the constructor of a generated or grpc-js client. */
export type ClientArguments = [address: string, credentials: ChannelCredentials, options: ClientOptions];

/**
 * Returns the arguments for a client of `service`: the proxy's outbound socket, with the service's name as
 * `:authority`. The connection to the proxy is plain HTTP/2 on this machine; the proxy uses mutual TLS to the other
 * side. Fails with `invalid_argument` if `service` cannot be a service's name (`payments`, or `payments.NAME-OF-MESH`).
 */
export function clientArguments(grpc: ApplicationGrpc, outbound: string, service: string): ClientArguments {
  if (!service.split(".").every(isLabel)) {
    throw new AshlarError("invalid_argument", `not the name of a service: ${JSON.stringify(service)}`);
  }
  return [
    outbound,
    grpc.credentials.createInsecure(),
    {
      "grpc.default_authority": service,
      // the socket is local: a proxy that has ended shows at once, a hung one by these pings
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // reconnects quickly to a restarted proxy
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2000,
      "grpc.service_config_disable_resolution": 1,
    },
  ];
}

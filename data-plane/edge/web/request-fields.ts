/** The fields of a request that reach the application as gRPC metadata. */
import type { WebRequest } from "./exchange.js";
import type { Header } from "./header.js";

/** Fields about HTTP itself, and those that gRPC sets. */
const ofHttp = new Set([
  ..."content-type content-length content-encoding transfer-encoding te trailer connection keep-alive".split(" "),
  ..."proxy-connection upgrade http2-settings expect accept accept-encoding accept-charset x-grpc-web".split(" "),
]);

/** Returns the request's headers without those about HTTP and those that `isDropped` names. */
export function metadataOf({ headers }: WebRequest, isDropped: (name: string) => boolean = () => false): Header[] {
  return headers.filter(([name]) => !ofHttp.has(name) && !isDropped(name));
}

/** Returns a media type in lower case, without parameters and spaces around it. */
export function mediaTypeOf(value: string | undefined): string {
  return (value ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

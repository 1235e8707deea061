import type { Metadata } from "@grpc/grpc-js";
import { headerNames } from "../core/wire/headers.js";

/**
 * Returns the caller: the SPIFFE ID that the proxy verified, such as "spiffe://shop/service/checkout". undefined means
 * that the call did not come through the proxy; an application that serves only on the mesh's private socket never sees
 * that.
 */
export function callerOf(call: { readonly metadata: Metadata }): string | undefined {
  const values = call.metadata.get(headerNames.caller);
  const [caller] = values;
  return values.length === 1 && typeof caller === "string" ? caller : undefined;
}

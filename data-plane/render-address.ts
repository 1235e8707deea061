import type { SocketAddress } from "../runtime/config.js";

/** Returns "unix:PATH" or "HOST:PORT", as flags write addresses. */
export function render(address: SocketAddress): string {
  if ("path" in address) return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

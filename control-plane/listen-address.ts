/** Renders addresses of the listeners. */

export function renderHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Returns the address to dial: a wildcard address such as 0.0.0.0 is replaced by loopback. */
export function dialAddress(address: string, host: string): string {
  const port = address.slice(address.lastIndexOf(":") + 1);
  if (host === "0.0.0.0") return `127.0.0.1:${port}`;
  return host === "::" ? `[::1]:${port}` : `${renderHost(host)}:${port}`;
}

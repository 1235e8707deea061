/** Addresses of the listeners in text. */

export function renderHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** The address that others dial: one that means "every interface" is no address to dial. */
export function dialAddress(address: string, host: string): string {
  const port = address.slice(address.lastIndexOf(":") + 1);
  if (host === "0.0.0.0") return `127.0.0.1:${port}`;
  return host === "::" ? `[::1]:${port}` : `${renderHost(host)}:${port}`;
}

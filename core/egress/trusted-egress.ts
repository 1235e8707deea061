/** The addresses behind the Egress objects of policy, as the trust log states them. */
/** An external destination: its address, and how the mesh and the destination authenticate to each other. */
export interface TrustedEgress {
  /** The name of the Egress in policy. */
  readonly name: string;
  /** "HOST:PORT": a host name or an IP address. */
  readonly address: string;
  /** The server name that the destination's certificate must be valid for; "": the host of `address`. */
  readonly serverName: string;
  /** The CA certificates that the destination is verified by, in PEM; "": the public CAs. */
  readonly ca: string;
  /** The name of the client key on the proxies' disks; "": proxies present no client certificate. */
  readonly clientKeyName: string;
  /** The client certificate in PEM, which must belong to the client key on disk; "": it is not stated. */
  readonly clientCert: string;
  /** Networks in CIDR notation, outside the public address space, that the address may be in nevertheless. Sorted. */
  readonly allowAddresses: readonly string[];
  /** The gateway through which calls leave the mesh; "": they leave from the caller's own proxy. */
  readonly through: string;
}

/** The most egresses of one mesh. */
export const egressesMax = 64;
/**
 * The most bytes of all egresses' certificates together, so that issuers and revocations fit into the same trust
 * record.
 */
export const egressesBytesMax = 64 * 1024;

const hostPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?):([1-9]\d{0,4})$/i;
const namePattern = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?$/i;
const networkPattern = /^(\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|[0-9a-f:.]*:[0-9a-f:.]*\/\d{1,3})$/i;

/**
 * Returns what is wrong with an egress, or undefined. Whether a text in `allowAddresses` is a network is checked in
 * `runtime`.
 */
export function whyNotEgress(egress: TrustedEgress): string | undefined {
  const { address, serverName, ca, clientKeyName, clientCert, allowAddresses, through } = egress;
  const port = Number(hostPattern.exec(address)?.at(-1) ?? 0);
  if (port < 1 || port > 65_535) return `address: expected HOST:PORT, got ${shown(address)}`;
  if (serverName !== "" && !namePattern.test(serverName)) return `server_name is no host name: ${shown(serverName)}`;
  if (clientKeyName === "" && clientCert !== "") return "client_cert is given without the name of its key";
  for (const [field, name] of Object.entries({ client_key_name: clientKeyName, through }))
    if (name !== "" && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
      return `${field}: expected 1 to 63 of a-z, 0-9 and -, got ${shown(name)}`;
  for (const [field, pem] of Object.entries({ ca, client_cert: clientCert }))
    if (pem !== "" && !pem.includes("-----BEGIN CERTIFICATE-----")) return `${field} is no certificate in PEM`;
  const wrong = allowAddresses.find((network) => !networkPattern.test(network));
  return wrong === undefined
    ? undefined
    : `allow_addresses: expected a network such as 10.1.0.0/16, got ${shown(wrong)}`;
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 64));

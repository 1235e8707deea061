/** Where what policy calls an Egress is: what the trust log says of it. */
/** Something outside the mesh: its address, and how either side proves who it is. */
export interface TrustedEgress {
  /** The name of the Egress in policy. */
  readonly name: string;
  /** "HOST:PORT": a host name or an IP address. */
  readonly address: string;
  /** The name that its certificate has to be for; "": that of the address. */
  readonly serverName: string;
  /** PEM that it is verified by; "": the public certificates. */
  readonly ca: string;
  /** The name of the key on the disks of proxies by which they prove who they are; "": they do not. */
  readonly clientKeyName: string;
  /** PEM of that key's certificate, which the key on disk has to be of; "": it is not told. */
  readonly clientCert: string;
  /** Networks (CIDR) that are not public and that its address may be in nevertheless. Sorted. */
  readonly allowAddresses: readonly string[];
  /** The gateway that its calls leave the mesh by; "": the caller's own proxy. */
  readonly through: string;
}

/** Egresses that a mesh knows. */
export const egressesMax = 64;
/** The most bytes of all egresses' certificates together: what a trust record has beside issuers and revocations. */
export const egressesBytesMax = 64 * 1024;

const hostPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?):([1-9]\d{0,4})$/i;
const namePattern = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?$/i;
const networkPattern = /^(\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|[0-9a-f:.]*:[0-9a-f:.]*\/\d{1,3})$/i;

/** Returns what is wrong with an egress, or undefined. Whether a network is one, `runtime` knows. */
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

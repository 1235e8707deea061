import { checkServerIdentity, type PeerCertificate } from "node:tls";

/**
 * Returns the client's TLS options. The client's own check of the server's name fails for a server that is given by IP
 * address, because it then asks for "localhost". So the certificate must be for one of the configured servers, or for
 * the name that the client asks for.
 */
export function renderTls(servers: readonly string[], caPem: string | undefined): { readonly ca?: string } {
  const hosts = servers.map((server) => new URL(server).hostname.replace(/^\[|\]$/g, ""));
  const options = {
    ...(caPem === undefined ? {} : { ca: caPem }),
    checkServerIdentity: (asked: string, certificate: PeerCertificate): Error | undefined => {
      const names = asked === "localhost" ? hosts : [...hosts, asked];
      const failures = names.map((host) => checkServerIdentity(host, certificate));
      return failures.includes(undefined) ? undefined : failures[0];
    },
  };
  return options;
}

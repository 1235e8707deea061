/** The settings of calls that leave the mesh which differ by environment: client keys and DNS servers. */
import { isIP } from "node:net";
import { isLabel } from "../../core/identity.js";
import { type ConfigReader, type HostPort, parseHostPort } from "../../runtime/config.js";
import type { EgressKey } from "./dial-outside.js";

/** Plain data. */
export interface EgressSettings {
  readonly keys: readonly EgressKey[];
  /** The DNS servers; empty: those of the system. */
  readonly dns: readonly HostPort[];
}

/** Reads the settings. Problems are reported to `read`. */
export function readEgress(read: ConfigReader): EgressSettings {
  const keys = read.list("egress-key").flatMap((text): EgressKey[] => {
    const [, name = "", certificate = "", key = ""] = /^([^=]*)=([^,]+),([^,]+)$/.exec(text) ?? [];
    if (isLabel(name)) return [{ name, certificate, key }];
    read.problem(`--egress-key: expected NAME=CERT,KEY with two files, got ${JSON.stringify(text)}`);
    return [];
  });
  const names = keys.map(({ name }) => name);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) < index)))
    read.problem(`--egress-key ${name} is given twice`);
  const dns = read.list("egress-dns").flatMap((text): HostPort[] => {
    const server = isIP(text) === 0 ? parseHostPort(text) : { host: text, port: 53 };
    if (server !== undefined && isIP(server.host) !== 0) return [server];
    read.problem(`--egress-dns: expected an IP address, with a port or without, got ${JSON.stringify(text)}`);
    return [];
  });
  return { keys, dns };
}

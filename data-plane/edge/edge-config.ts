/** The settings of a gateway that differ by environment: addresses, host names, certificates and CAs. */
import { messageOf } from "../../core/errors.js";
import { gatewayWorkload, isLabel } from "../../core/identity.js";
import { type ConfigReader, type HostPort, parseHostPort } from "../../runtime/config.js";
import { Networks } from "../../runtime/networks.js";
import { isLoopback } from "../agent/is-loopback.js";
import type { HopsConfig } from "./edge-hops.js";

/** The files of a certificate chain and of its key, both in PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface EdgeListenerConfig {
  /** The name of the listener in policy. */
  readonly name: string;
  readonly address: HostPort;
  /** The host names that clients may use, in lower case; "*.example" stands for one more label. Empty: any. */
  readonly hosts: readonly string[];
  /** The origins of web pages that may call. */
  readonly origins: readonly string[];
  /**
   * The certificates; empty: plain HTTP/2 on a loopback address. SNI selects one; the first is for clients that send no
   * name.
   */
  readonly certificates: readonly CertificateFiles[];
  /** A PEM file with the CAs of clients; undefined: clients are not asked for certificates. */
  readonly clientCa: string | undefined;
}

/** Plain data. */
export interface EdgeConfig {
  /** The gateway's name in policy. */
  readonly name: string;
  readonly listeners: readonly EdgeListenerConfig[];
  /** Files with FileDescriptorSets of the messages that clients may write in JSON. */
  readonly descriptors: readonly string[];
  readonly hops: HopsConfig;
}

const hostGrammar = /^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Reads the settings of listeners. Problems are reported to `read`. */
export function readEdge(read: ConfigReader): EdgeConfig {
  const name = read.required("name");
  if (name !== "" && !isLabel(name))
    read.problem(`--name: expected 1 to 63 of a-z, 0-9 and "-", got ${JSON.stringify(name)}`);
  const addresses = readNamed(read, "listener", "HOST:PORT");
  const names = new Set(addresses.map(([listener]) => listener));
  if (names.size === 0 && read.text("egress") === undefined)
    read.problem(
      "--listener is missing: give LISTENER=HOST:PORT for each listener of the gateway, or --egress HOST:PORT for calls that leave the mesh",
    );
  const of = (setting: string, what: string) => {
    const given = readNamed(read, setting, what);
    for (const [listener] of given)
      if (!names.has(listener)) read.problem(`--${setting} ${listener}: there is no --listener ${listener}`);
    return (listener: string) => given.flatMap(([one, value]) => (one === listener ? [value] : []));
  };
  const hosts = of("host", "NAME");
  const origins = of("origin", "URL");
  const certificates = of("cert", "CERT,KEY");
  const clientCas = of("client-ca", "FILE");
  const listeners = addresses.flatMap(([listener, text], index): EdgeListenerConfig[] => {
    if (addresses.findIndex(([one]) => one === listener) < index) read.problem(`--listener ${listener} is given twice`);
    const address = parseHostPort(text);
    if (address === undefined) {
      read.problem(`--listener ${listener}: expected HOST:PORT, got ${JSON.stringify(text)}`);
      return [];
    }
    const [clientCa, more] = clientCas(listener);
    if (more !== undefined) read.problem(`--client-ca ${listener} is given twice: put the CAs into one file`);
    const config = {
      ...{ name: listener, address, clientCa },
      hosts: hosts(listener).map((host) => checkHost(read, host.toLowerCase())),
      origins: origins(listener).map((origin) => checkOrigin(read, origin)),
      certificates: certificates(listener).flatMap((files) => readFiles(read, files)),
    };
    checkPlain(read, config);
    return [config];
  });
  return { name, listeners, descriptors: read.list("descriptors"), hops: readHops(read) };
}

/** Returns the name by which the mesh knows the gateway. */
export function workloadOf({ name }: EdgeConfig): string {
  return gatewayWorkload(name);
}

function readNamed(read: ConfigReader, setting: string, what: string): readonly (readonly [string, string])[] {
  return read.list(setting).flatMap((text): (readonly [string, string])[] => {
    const at = text.indexOf("=");
    const name = text.slice(0, Math.max(0, at));
    if (isLabel(name) && at + 1 < text.length) return [[name, text.slice(at + 1)]];
    read.problem(`--${setting}: expected LISTENER=${what}, got ${JSON.stringify(text)}`);
    return [];
  });
}

function readHops(read: ConfigReader): HopsConfig {
  const networks = (setting: string): readonly string[] =>
    read.list(setting).filter((text) => {
      try {
        return new Networks([text]);
      } catch (error) {
        return void read.problem(`--${setting}: ${messageOf(error)}`);
      }
    });
  return {
    proxyProtocolFrom: networks("proxy-protocol-from"),
    forwardedFrom: networks("forwarded-from"),
    healthFrom: networks("health-from"),
  };
}

function checkHost(read: ConfigReader, host: string): string {
  if (!hostGrammar.test(host))
    read.problem(`--host: expected a host name, or *.NAME for one label before it, got ${JSON.stringify(host)}`);
  return host;
}

function checkOrigin(read: ConfigReader, origin: string): string {
  const parsed = URL.canParse(origin) ? new URL(origin) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.origin !== origin)
    read.problem(`--origin: expected an origin such as https://shop.example, got ${JSON.stringify(origin)}`);
  return origin;
}

function readFiles(read: ConfigReader, text: string): CertificateFiles[] {
  const [certificate = "", key = "", ...more] = text.split(",");
  if (certificate !== "" && key !== "" && more.length === 0) return [{ certificate, key }];
  read.problem(`--cert: expected LISTENER=CERT,KEY with two files, got ${JSON.stringify(text)}`);
  return [];
}

function checkPlain(read: ConfigReader, { name, address, certificates, clientCa }: EdgeListenerConfig): void {
  if (certificates.length > 0) return;
  if (clientCa !== undefined)
    read.problem(`--client-ca ${name}: a client proves a certificate over TLS, so --cert ${name}=CERT,KEY is needed`);
  if (!isLoopback(address.host))
    read.problem(
      `--listener ${name}: without --cert it speaks plain HTTP/2, which ${address.host} would show to others`,
    );
}

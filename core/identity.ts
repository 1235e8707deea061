import { AshlarError } from "./errors.js";

declare const brand: unique symbol;

/** A SPIFFE ID of a workload: `spiffe://TRUST-DOMAIN/PATH` (SPIFFE-ID.md), path not empty. */
export type SpiffeId = string & { readonly [brand]: "SpiffeId" };

/** The role of an identity. */
export type IdentityRole = "service" | "gateway" | "operator" | "control-plane";

/** An application that reads at other services' proxies without its own. For policy it is its service. */
export interface ReaderName {
  readonly service: string;
  /** The proxy that the application is beside, which asked for its identity. */
  readonly proxyId: string;
}

const idGrammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[A-Za-z0-9._-]+)+$/;
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const bytesMax = 2048; // SPIFFE-ID.md 2.3

/** Parses a workload's SPIFFE ID; fails with `invalid_identity`. */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > bytesMax || !idGrammar.test(text) || /\/\.{1,2}(\/|$)/.test(text)) {
    throw new AshlarError("invalid_identity", `not a workload SPIFFE ID: ${JSON.stringify(text.slice(0, 200))}`);
  }
  return text as SpiffeId; // the only place that may make one
}

/** Returns whether `text` is an RFC 1123 label: 1 to 63 of a-z, 0-9 and "-", not at either end. */
export function isLabel(text: string): boolean {
  return label.test(text);
}

/** The most characters of a mesh's name. It is the common name of the CA, which X.509 limits to 64 characters. */
const meshNameMax = 63;

/**
 * Returns why `text` cannot name a mesh, or undefined if it can. A name is labels joined by dots, because it is used as
 * a trust domain and as an authority.
 */
export function findMeshNameFault(text: string): string | undefined {
  if (text.length > meshNameMax)
    return `a mesh's name has at most ${meshNameMax} characters, this one has ${text.length}`;
  if (text.split(".").every(isLabel)) return undefined;
  return `expected labels of a-z, 0-9 and "-" joined by dots, got ${JSON.stringify(text)}`;
}

/** Builds the SPIFFE ID of that role in a mesh. Fails with `invalid_identity` on a name that is no label. */
export function buildSpiffeId(mesh: string, role: IdentityRole, name: string): SpiffeId {
  if (!isLabel(name)) throw new AshlarError("invalid_identity", `not an RFC 1123 label: ${JSON.stringify(name)}`);
  return parseSpiffeId(`spiffe://${mesh}/${role}/${name}`);
}

const gatewayPrefix = "gateway/";

/** The SPIFFE ID of an application that reads directly. It names no workload. Fails with `invalid_identity`. */
export function readerId(mesh: string, { service, proxyId }: ReaderName): SpiffeId {
  for (const name of [service, proxyId])
    if (!isLabel(name)) throw new AshlarError("invalid_identity", `not an RFC 1123 label: ${JSON.stringify(name)}`);
  return parseSpiffeId(`spiffe://${mesh}/reader/${service}/${proxyId}`);
}

/** Who reads, if `id` is that of a reader, of whichever mesh. */
export function readerIn(id: SpiffeId): ReaderName | undefined {
  const [role, service = "", proxyId = "", ...more] = id.slice("spiffe://".length).split("/").slice(1);
  if (role !== "reader" || more.length > 0 || !isLabel(service) || !isLabel(proxyId)) return undefined;
  return { service, proxyId };
}

/** Returns the name as a workload of the gateway `name`: `gateway/NAME`. */
export function gatewayWorkload(name: string): string {
  return `${gatewayPrefix}${name}`;
}

/** The name of the gateway, if `workload` is `gateway/NAME`. */
export function gatewayNameIn(workload: string): string | undefined {
  const name = workload.startsWith(gatewayPrefix) ? workload.slice(gatewayPrefix.length) : "";
  return isLabel(name) ? name : undefined;
}

/** Returns whether a caller, as policy names it, is a gateway. */
export function isGatewayCaller(caller: string): boolean {
  return gatewayNameIn(caller) !== undefined || /^spiffe:\/\/[^/]+\/gateway\/[^/]+$/.test(caller);
}

/** Returns whether `text` names what a proxy can run for: a service (`payments`) or a gateway (`gateway/public`). */
export function isWorkload(text: string): boolean {
  return isLabel(text) || gatewayNameIn(text) !== undefined;
}

/** The SPIFFE ID of a service or gateway of the mesh. Fails with `invalid_identity` on a name that is neither's. */
export function workloadId(mesh: string, workload: string): SpiffeId {
  const gateway = gatewayNameIn(workload);
  return gateway === undefined ? buildSpiffeId(mesh, "service", workload) : buildSpiffeId(mesh, "gateway", gateway);
}

/** The name of the service or gateway that `id` is of, if it is one of this mesh. */
export function workloadIn(id: SpiffeId, mesh: string): string | undefined {
  const gateway = nameIn(id, mesh, "gateway");
  return gateway === undefined ? nameIn(id, mesh, "service") : gatewayWorkload(gateway);
}

/** The SPIFFE ID of a caller as policy names it: a service, `gateway/NAME`, or a SPIFFE ID in full. */
export function callerId(mesh: string, caller: string): SpiffeId {
  return caller.startsWith("spiffe://") ? parseSpiffeId(caller) : workloadId(mesh, caller);
}

/** The trust domain of an ID. */
export function trustDomainOf(id: SpiffeId): string {
  return id.slice("spiffe://".length, id.indexOf("/", "spiffe://".length));
}

/** The name, if `id` is `spiffe://MESH/ROLE/NAME` of this mesh and role. */
export function nameIn(id: SpiffeId, mesh: string, role: IdentityRole): string | undefined {
  const prefix = `spiffe://${mesh}/${role}/`;
  if (!id.startsWith(prefix)) return undefined;
  const name = id.slice(prefix.length);
  return isLabel(name) ? name : undefined;
}

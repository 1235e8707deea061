/** Opens the listeners of a control plane, and writes the files that say where it serves. */

import type { Clock } from "../runtime/clock.js";
import type { BoundService } from "../runtime/grpc-handlers.js";
import type { GrpcServer } from "../runtime/grpc-server.js";
import type { Logger } from "../runtime/log.js";
import type { createAdminService } from "./admin/admin-service.js";
import type { AuditTrail } from "./audit/audit-trail.js";
import type { Cleanup } from "./cleanup.js";
import type { ConsoleConfig, UpConfig } from "./config.js";
import type { ConsoleDesk } from "./console/console-desk.js";
import { ConsoleTls, readCertificateFiles } from "./console/console-tls.js";
import { openConsole } from "./console/open-console.js";
import type { DataFolder } from "./data-folder.js";
import type { Authority, IssuedIdentity } from "./identity/authority.js";
import { writeOperatorContexts } from "./identity/operator-contexts.js";
import { dialAddress } from "./listen-address.js";
import {
  type createOperatorJudge,
  gateLimits,
  listenOnFirst,
  RenewableCredentials,
  renewOwn,
  startAdminListener,
  startJoinListener,
} from "./listeners.js";
import type { StoredPlace } from "./membership/member-files.js";
import type { Members } from "./membership/members.js";
import { startKeeping } from "./membership/place.js";
import type { OpenedNats } from "./nats/open-nats.js";

const stopGraceMs = 2000;

export interface ServeBase {
  readonly config: UpConfig;
  readonly log: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly cleanup: Cleanup;
  readonly folder: DataFolder;
  readonly authority: Authority;
  /** The place in a mesh that another control plane began; undefined if this one began the mesh. */
  readonly place: StoredPlace | undefined;
  readonly members: Members;
}

/** What the listeners serve. */
export interface Served {
  readonly adminService: ReturnType<typeof createAdminService>;
  /** The services of the join listener. */
  readonly joinServices: readonly BoundService[];
  readonly judge: ReturnType<typeof createOperatorJudge>;
  readonly desk: ConsoleDesk;
  readonly audit: AuditTrail;
}

/** Opens the listeners and writes their addresses to the ready files, as the last step. */
export async function serve(base: ServeBase, { access: nats }: OpenedNats, served: Served): Promise<void> {
  const { adminService, joinServices, judge } = served;
  const { config, log, clock, cleanup, folder, authority } = base;
  const hosts = [config.admin.host, config.join.host];
  const issueOwn = () => authority.issueControlPlane({ name: authority.name, hosts });
  const first = issueOwn();
  const adminCredentials = new RenewableCredentials(authority.caPem, first, true);
  const joinCredentials = new RenewableCredentials(authority.caPem, first, false);
  const saved = folder.savedPorts();
  const stopServer = (server: GrpcServer) => cleanup.add(() => server.stop(stopGraceMs));
  const admin = await listenOnFirst(config.admin, saved?.admin, (bind) =>
    startAdminListener({ clock, log }, bind, adminCredentials, adminService, judge),
  );
  stopServer(admin);
  const joining = await listenOnFirst(config.join, saved?.join, (bind) =>
    startJoinListener({ clock, log }, bind, joinCredentials, joinServices),
  );
  stopServer(joining);
  const console = config.console && (await serveConsole(base, config.console, served));
  folder.savePorts({ admin: admin.port, join: joining.port, console: console?.port ?? saved?.console });
  const addresses = {
    admin: dialAddress(admin.address, config.admin.host),
    join: dialAddress(joining.address, config.join.host),
  };
  writeOperatorContexts(base, addresses.admin, config.operators);
  base.members.setOwn(addresses.join);
  writeJoinFile(folder, authority, base.members.addresses());
  const consoles = { console: console?.address ?? "", consoleUrl: console?.url ?? "" };
  const ready = { mesh: authority.mesh, ...addresses, ...consoles, nats: nats.servers.join(","), pid: process.pid };
  folder.writeJson("ready.json", ready);
  log.info("serving", { ...ready, controlPlane: authority.name });
  if (base.place !== undefined) {
    const deps = { ...base, dir: folder.path, joinAddress: addresses.join, nats };
    cleanup.add(startKeeping(base.place, deps));
  }
  void renewOwn({ clock, log, signal: base.signal }, () => {
    const next = issueOwn();
    adminCredentials.renew(next);
    joinCredentials.renew(next);
    console?.renew();
    writeOperatorContexts(base, addresses.admin, config.operators);
  });
}

interface ServedConsoleListener {
  readonly port: number;
  /** "HOST:PORT". */
  readonly address: string;
  readonly url: string;
  /** Uses a new certificate, if it is one of the mesh. */
  renew(): void;
}

/** Opens the console, with a certificate of the mesh unless another one was given. */
async function serveConsole(
  { config: { admin }, log, clock, cleanup, folder, authority }: ServeBase,
  config: ConsoleConfig,
  { adminService: service, desk, judge, audit }: Served,
): Promise<ServedConsoleListener> {
  const hosts = [admin.host, config.listen.host, ...config.hosts];
  const issue = (): IssuedIdentity => authority.issueControlPlane({ name: authority.name, hosts });
  const files = config.certificate;
  const first = files === undefined ? issue() : await readCertificateFiles(files);
  const tls = config.plain ? undefined : new ConsoleTls(authority.caPem, first);
  const deps = { mesh: authority.mesh, desk, service, audit, judge, tls, limits: gateLimits().console, clock, log };
  const opened = await listenOnFirst(config.listen, folder.savedPorts()?.console, (_bind, port) =>
    openConsole(deps, config, port),
  );
  cleanup.add(() => opened.close());
  if (files !== undefined && tls !== undefined) cleanup.add(tls.follow(files, log));
  const { url, port } = opened;
  desk.served = {
    url,
    certificateSha256: () => tls?.sha256() ?? "",
    certificateOfMesh: !config.plain && files === undefined,
  };
  return {
    port,
    address: dialAddress(`${config.listen.host}:${port}`, config.listen.host),
    url,
    renew: () => {
      if (files === undefined) tls?.renew(issue());
    },
  };
}

/**
 * Writes join.json: `join` is this control plane's listener; `joins` lists all listeners if there are several control
 * planes.
 */
export function writeJoinFile(folder: DataFolder, { mesh, rootHash }: Authority, addresses: readonly string[]): void {
  const [own] = addresses;
  const joins = addresses.length > 1 ? { joins: addresses } : {};
  folder.writeJson("join.json", { mesh, join: own, rootHash, ...joins });
}

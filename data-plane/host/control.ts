/** Carries out the requests of `ashlar proxy add`, `remove` and `list` in a running process. */
import { AshlarError } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import type { Logger } from "../../runtime/log.js";
import type { ControlRequest, ListedProxy } from "./control-messages.js";
import type { ActOnRequest } from "./control-server.js";
import type { Host } from "./host.js";
import type { HostConfig } from "./host-config.js";
import type { KeptServices } from "./kept-services.js";
import { parseServiceSettings } from "./service-settings.js";

export interface ControlDeps {
  readonly config: HostConfig;
  readonly host: Host;
  readonly kept: KeptServices;
  readonly log: Logger;
}

export function createControl(deps: ControlDeps): ActOnRequest {
  return async (request) => {
    switch (request.kind) {
      case "add":
        return { kind: "done", ...(await add(deps, request)) };
      case "remove":
        return { kind: "done", ...(await remove(deps, request.service)) };
      case "list":
        return { kind: "done", services: list(deps.host), note: "" };
    }
  };
}

interface Done {
  readonly services: readonly ListedProxy[];
  readonly note: string;
}

async function add(
  { config, host, kept, log }: ControlDeps,
  { settings, token }: Extract<ControlRequest, { kind: "add" }>,
): Promise<Done> {
  const parsed = parseServiceSettings(settings, config.settings, "ashlar proxy add", "/");
  const running = await host.add(parsed, token);
  if (running === undefined) throw new AshlarError("unavailable", "the proxy is stopping");
  const { service } = parsed;
  let note = "";
  try {
    await kept.keep(service, settings);
  } catch (error) {
    note = `it runs, but after a restart it does not: ${error instanceof Error ? error.message : String(error)}`;
    log.warn("a service was added that cannot be kept", { service, why: note });
  }
  log.info("a service was added", { service });
  return { services: list(host).filter((one) => one.service === service), note };
}

async function remove({ config, host, kept, log }: ControlDeps, service: string): Promise<Done> {
  if (!isLabel(service)) throw new AshlarError("invalid_argument", "--service: expected the name of a service");
  if (service === config.primary?.service)
    throw new AshlarError("denied", `${service} is the service of the proxy's command line: stop the process instead`);
  const isKept = await kept.forget(service);
  await host.remove(service);
  log.info("a service was removed", { service });
  const { servicesFile } = config;
  const isListed = !isKept && servicesFile !== undefined;
  return {
    services: [],
    note: isListed ? `it stands in ${servicesFile}: take it out there too, or it is there again after a restart` : "",
  };
}

function list(host: Host): readonly ListedProxy[] {
  return host.services.map(({ service, state, why, running }) => {
    return { service, state, why, listening: Object.fromEntries(running?.listening ?? []) };
  });
}

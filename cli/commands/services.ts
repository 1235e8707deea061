import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { ServiceInfo } from "../client.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, yesOrNo } from "../output.js";

/** `ashlar services`: services with their instances. */
export function addServicesCommand(program: Command, cli: Cli): void {
  const command = program
    .command("services")
    .description("List services with their instances, versions and addresses.")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const { services } = await cli.withAdmin(self, (admin) => admin.listServices({}));
      show(cli, output, services.map(serviceToJson), renderServices(services));
    });
  withExample(command, "ashlar services");
}

function serviceToJson({ name, endpoints, inPolicy }: ServiceInfo) {
  return {
    name,
    endpoints: endpoints.map(({ instance, version, address, healthy, why, proxyId }) => ({
      instance,
      version,
      address,
      healthy,
      proxyId,
      ...(healthy || why === "" ? {} : { why }),
    })),
    inPolicy,
  };
}

function renderServices(services: readonly ServiceInfo[]): string {
  if (services.length === 0) return "No service yet.";
  const rows = services.flatMap(({ name, endpoints, inPolicy }) =>
    endpoints.length === 0
      ? [[name, yesOrNo(inPolicy), "-", "-", "-", "-"]]
      : endpoints.map(({ instance, version, address, healthy, why }) => {
          const state = healthy || why === "" ? yesOrNo(healthy) : `no: ${plain(why)}`;
          return [name, yesOrNo(inPolicy), instance, version, address, state];
        }),
  );
  return renderTable(["SERVICE", "IN POLICY", "INSTANCE", "VERSION", "ADDRESS", "HEALTHY"], rows);
}

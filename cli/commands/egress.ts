import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { EgressInfo } from "../client.js";
import { collect, outputOption, parseLabel, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable } from "../output.js";
import { readTextFile } from "../read-text-file.js";

interface SetFlags {
  readonly address: string;
  readonly serverName?: string;
  readonly ca: string;
  readonly clientCert?: string;
  readonly clientKeyName?: string;
  readonly allowAddress?: readonly string[];
  readonly through?: string;
  readonly output: OutputFormat;
}

/** Adds `ashlar egress set|list|remove`: the addresses of external destinations. */
export function addEgressCommand(program: Command, cli: Cli): void {
  const command = program
    .command("egress")
    .description(
      "Say where what policy calls an Egress is: addresses and certificates are in the trust log, never in policy.",
    );
  addSetCommand(command, cli);
  addListCommand(command, cli);
  addRemoveCommand(command, cli);
  withExample(command, "ashlar egress set card-provider --address api.cards.example:443");
}

function addSetCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("set")
    .description("Say where an egress is; proxies go by it within moments. It is always called over TLS.")
    .argument("<name>", "the name of its Egress in policy", parseLabel)
    .requiredOption(
      "--address <host:port>",
      "its address; proxies resolve a name, and again when the answer of DNS expires",
    )
    .option("--server-name <name>", "the name that its certificate has to be for (default: the host of --address)")
    .option(
      "--ca <file|system>",
      "certificates (PEM) that it is verified by, or `system` for the public ones",
      "system",
    )
    .option("--client-key-name <name>", "the name of the key by which proxies prove who they are, as in --egress-key")
    .option("--client-cert <file>", "that key's certificate (PEM): a proxy whose key is another one calls nobody")
    .option(
      "--allow-address <cidr>",
      "a network that is not public (loopback, link-local, private) and that its address may be in; may be repeated",
      collect,
    )
    .option(
      "--through <gateway>",
      "the gateway that its calls leave the mesh by (default: the caller's own proxy)",
      parseLabel,
    )
    .addOption(outputOption())
    .action(async (name: string, flags: SetFlags, self: Command) => {
      const { address, serverName = "", ca, clientCert, clientKeyName = "", allowAddress = [], through = "" } = flags;
      const egress = {
        ...{ name, address, serverName, clientKeyName, through },
        ca: ca === "system" ? "" : await readTextFile("--ca", ca),
        clientCert: clientCert === undefined ? "" : await readTextFile("--client-cert", clientCert),
        allowAddresses: [...allowAddress],
      };
      const { created, egress: set } = await cli.withAdmin(self, (admin) => admin.setEgress({ egress }));
      const text = created ? `Set ${name}.` : `${name} is set like that already.`;
      show(cli, flags.output, { created, ...(set === undefined ? {} : toJson(set)) }, text);
    });
  withExample(
    command,
    "ashlar egress set card-provider --address api.cards.example:443",
    "ashlar egress set card-provider --address api.cards.example:443 --client-key-name cards --through out",
    "ashlar egress set ledger-db --address 10.1.2.3:8443 --server-name db.internal --ca db-ca.pem --allow-address 10.1.2.0/24",
  );
}

function addListCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("list")
    .description("List where egresses are.")
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, self: Command) => {
      const { egresses } = await cli.withAdmin(self, (admin) => admin.listEgresses({}));
      show(cli, output, egresses.map(toJson), renderEgresses(egresses));
    });
  withExample(command, "ashlar egress list");
}

function addRemoveCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("remove")
    .description("Forget where an egress is: its connections close and calls to it fail from now on.")
    .argument("<name>", "its name", parseLabel)
    .addOption(outputOption())
    .action(async (name: string, { output }: { readonly output: OutputFormat }, self: Command) => {
      await cli.withAdmin(self, (admin) => admin.removeEgress({ name }));
      show(cli, output, { name, removed: true }, `Removed ${name}.`);
    });
  withExample(command, "ashlar egress remove card-provider");
}

function toJson({ name, address, serverName, ca, clientKeyName, clientCert, allowAddresses, through }: EgressInfo) {
  return {
    name,
    address,
    ...(serverName === "" ? {} : { serverName }),
    ca: ca === "" ? "system" : ca,
    ...(clientKeyName === "" ? {} : { clientKeyName }),
    ...(clientCert === "" ? {} : { clientCert }),
    allowAddresses,
    ...(through === "" ? {} : { through }),
  };
}

function renderEgresses(egresses: readonly EgressInfo[]): string {
  if (egresses.length === 0) return "The mesh knows the address of no egress.";
  const rows = egresses.map(({ name, address, serverName, ca, clientKeyName, allowAddresses, through }) => [
    name,
    plain(address),
    plain(serverName),
    ca === "" ? "system" : "its own",
    plain(clientKeyName),
    plain(allowAddresses.join(" ")),
    through === "" ? "the caller's proxy" : plain(`gateway/${through}`),
  ]);
  return renderTable(["NAME", "ADDRESS", "SERVER NAME", "CA", "KEY", "ALLOWED", "LEAVES BY"], rows);
}

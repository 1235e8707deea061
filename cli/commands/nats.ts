import { existsSync } from "node:fs";
import { type Command, Option } from "commander";
import { AshlarError } from "../../core/errors.js";
import {
  type AccountSetup,
  buildNatsSetup,
  clusterJournalBytes,
  createNatsAccounts,
  type NatsSetup,
} from "../../runtime/nats-account-setup.js";
import { isShared, readNatsAccounts, renderNatsAccounts } from "../../runtime/nats-accounts.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseNumber, parseSize, withExample } from "../options.js";
import type { OutputFormat } from "../output.js";
import { writeFileWhole } from "../write-file.js";

interface SetupFlags {
  readonly natsAccount: string;
  readonly journals: number;
  readonly journalBytes?: number;
  readonly output: OutputFormat;
}

/** Adds `ashlar nats setup`. It asks no server; it prints what the operator of the NATS cluster needs. */
export function addNatsCommand(program: Command, cli: Cli): void {
  const nats = program.command("nats").description("What a NATS cluster of yours needs for a mesh.");
  const command = nats
    .command("setup")
    .description(
      "Print what the operator of a NATS cluster adds to the mesh's account and the proxies' account: exports, imports, limits and JetStream.",
    )
    .addOption(
      new Option(
        "--nats-account <FILE>",
        "the file of `ashlar up --nats-account`, with both accounts; made with fresh keys (mode 0600) if it is not there",
      ).makeOptionMandatory(),
    )
    .option("--journals <number>", "how many services are to have a journal: streams and room for them", parseNumber, 0)
    .option("--journal-bytes <size>", "as `ashlar up --journal-bytes` has it (default: 1GiB)", parseSize)
    .addOption(outputOption())
    .action(
      async ({ natsAccount: file, journals: count, journalBytes: bytes = clusterJournalBytes, output }: SetupFlags) => {
        if (!existsSync(file)) {
          writeFileWhole(file, `${JSON.stringify(renderNatsAccounts(createNatsAccounts()), undefined, 2)}\n`, 0o600);
          cli.note(`${file}: made with fresh account keys; whoever has it is every proxy and control plane to NATS`);
        }
        const accounts = await readNatsAccounts(file);
        if (isShared(accounts))
          throw new AshlarError(
            "invalid_argument",
            `${file} has one account for control planes and proxies: name two, {"mesh": ACCOUNT, "proxies": ACCOUNT}; the account that proxies have stays theirs (docs/nats.md)`,
          );
        const setup = await buildNatsSetup(accounts, { count, bytes });
        show(cli, output, setup, renderSetup(setup));
      },
    );
  withExample(command, "ashlar nats setup --nats-account accounts.json");
}

/** Renders commands of `nsc`, which manages an operator's accounts. MESH and PROXIES stand for the accounts' names. */
function renderSetup({ mesh, proxies, jetStream }: NatsSetup): string {
  const gibibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 30)} GiB`;
  return [
    "# the accounts by their keys; leave a line out where nsc has that account already",
    `nsc add account --name MESH --public-key ${mesh.account}`,
    `nsc add account --name PROXIES --public-key ${proxies.account}`,
    "",
    `# MESH is account ${mesh.account}: control planes; JetStream with ${jetStream.streams} streams, ${gibibytes(jetStream.fileBytes)} of files in each of ${jetStream.replicas} servers`,
    ...commandsOf("MESH", mesh),
    "",
    `# PROXIES is account ${proxies.account}: proxies; no JetStream`,
    ...commandsOf("PROXIES", proxies),
    "",
    "# both at once: an account that imports what is not exported yet is refused (-u nats://…: your servers, if nsc does not know them)",
    "nsc push --all",
  ].join("\n");
}

function commandsOf(name: string, { exports, imports, limits }: AccountSetup): readonly string[] {
  const js = `--js-mem-storage ${limits.mem_storage} --js-disk-storage ${limits.disk_storage} --js-streams ${limits.streams} --js-consumer ${limits.consumer}`;
  return [
    `nsc edit account --name ${name} ${js} --leaf-conns ${limits.leaf}`,
    ...exports.map(
      ({ name: label, subject, type }) =>
        `nsc add export --account ${name} --name ${label} --subject '${subject}' --private${type === "service" ? " --service" : ""}`,
    ),
    ...imports.map(
      ({ name: label, token }) =>
        `printf %s '${token}' > ${label}.jwt && nsc add import --account ${name} --name ${label} --token ${label}.jwt`,
    ),
  ];
}

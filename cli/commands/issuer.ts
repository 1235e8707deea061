import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { IssuerInfo } from "../client.js";
import { outputOption, parseLabel, withExample } from "../options.js";
import { type OutputFormat, plain, renderTable, renderTime } from "../output.js";
import { readTextFile } from "../read-text-file.js";

interface SetFlags {
  readonly issuer: string;
  readonly jwks: string;
  readonly jwksCa?: string;
  readonly allowPrivateAddress?: boolean;
  readonly output: OutputFormat;
}

/** Adds `ashlar issuer set|list|remove`: the issuers of tokens and the keys that sign them. */
export function addIssuerCommand(program: Command, cli: Cli): void {
  const command = program
    .command("issuer")
    .description("Say whose tokens (JWT) the mesh knows: their URL and keys are in the trust log, never in policy.");
  addSetCommand(command, cli);
  addListCommand(command, cli);
  addRemoveCommand(command, cli);
  withExample(command, "ashlar issuer set accounts --issuer https://accounts.example --jwks jwks.json");
}

function addSetCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("set")
    .description("Set an issuer and its keys; proxies use them within moments. A URL is read again every 5 minutes.")
    .argument("<name>", "the name of its JwtIssuer in policy", parseLabel)
    .requiredOption("--issuer <url>", "the exact iss claim of its tokens")
    .requiredOption("--jwks <file|url>", "its public keys: a JWK set in a file, or where https serves one")
    .option("--jwks-ca <file>", "certificates (PEM) that the URL's server is verified by, instead of the public ones")
    .option("--allow-private-address", "the URL may lead to a loopback, link-local or private address")
    .addOption(outputOption())
    .action(async (name: string, flags: SetFlags, self: Command) => {
      const { issuer, jwks, jwksCa, allowPrivateAddress = false, output } = flags;
      const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(jwks);
      const request = {
        name,
        issuer,
        jwks: isUrl ? "" : await readTextFile("--jwks", jwks),
        jwksUrl: isUrl ? jwks : "",
        jwksCa: jwksCa === undefined ? "" : await readTextFile("--jwks-ca", jwksCa),
        allowPrivateAddress,
      };
      const { created, ignored, issuer: set } = await cli.withAdmin(self, (admin) => admin.setTokenIssuer(request));
      for (const line of ignored) cli.note(`ashlar: left out: ${plain(line)}`);
      const keys = set?.keyIds.length ?? 0;
      const text = created
        ? `Set ${name}, ${keys === 1 ? "1 key" : `${keys} keys`}.`
        : `${name} is set like that already.`;
      show(cli, output, { created, ignored, ...(set === undefined ? {} : toJson(set)) }, text);
    });
  withExample(
    command,
    "ashlar issuer set accounts --issuer https://accounts.example --jwks jwks.json",
    "ashlar issuer set accounts --issuer https://accounts.example --jwks https://accounts.example/jwks",
  );
}

function addListCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("list")
    .description("List the issuers that the mesh has keys of.")
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, self: Command) => {
      const { issuers } = await cli.withAdmin(self, (admin) => admin.listTokenIssuers({}));
      show(cli, output, issuers.map(toJson), renderIssuers(issuers));
    });
  withExample(command, "ashlar issuer list");
}

function addRemoveCommand(parent: Command, cli: Cli): void {
  const command = parent
    .command("remove")
    .description("Remove an issuer: its tokens are refused from now on, also on open streams.")
    .argument("<name>", "its name", parseLabel)
    .addOption(outputOption())
    .action(async (name: string, { output }: { readonly output: OutputFormat }, self: Command) => {
      await cli.withAdmin(self, (admin) => admin.removeTokenIssuer({ name }));
      show(cli, output, { name, removed: true }, `Removed ${name}.`);
    });
  withExample(command, "ashlar issuer remove accounts");
}

function toJson({ name, issuer, jwksUrl, allowPrivateAddress, fetchedMs, keyIds, problem }: IssuerInfo) {
  const from = jwksUrl === "" ? {} : { jwksUrl, allowPrivateAddress };
  return { name, issuer, keyIds, fetched: renderTime(fetchedMs), ...from, ...(problem === "" ? {} : { problem }) };
}

function renderIssuers(issuers: readonly IssuerInfo[]): string {
  if (issuers.length === 0) return "The mesh has keys of no issuer.";
  const rows = issuers.map(({ name, issuer, keyIds, fetchedMs, jwksUrl, problem }) => [
    name,
    plain(issuer),
    plain(keyIds.join(" ")),
    renderTime(fetchedMs),
    plain(jwksUrl === "" ? "a file" : jwksUrl),
    plain(problem),
  ]);
  return renderTable(["NAME", "ISSUER", "KEYS", "SINCE", "FROM", "PROBLEM"], rows);
}

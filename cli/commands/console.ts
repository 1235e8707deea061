import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import type { CreateConsoleLinkResponse } from "../client.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, renderTime, visible } from "../output.js";

interface Flags {
  readonly readOnly?: boolean;
  readonly endSessions?: boolean;
  readonly ca?: boolean;
  readonly output: OutputFormat;
}

/** Adds `ashlar console`: prints only the link on stdout, and remarks on stderr. */
export function addConsoleCommand(program: Command, cli: Cli): void {
  const command = program
    .command("console")
    .description(
      "Print a link to the web console that `ashlar up --console HOST:PORT` serves. It logs a browser in as the operator of the context, once, within two minutes: it is as secret as a password.",
    )
    .option("--read-only", "a session that may look and change nothing")
    .option("--end-sessions", "first end all sessions and links of this operator with this control plane")
    .option("--ca", "print the certificate of the mesh's CA instead (PEM), for a browser to trust")
    .addOption(outputOption())
    .action(async ({ readOnly = false, endSessions = false, ca = false, output }: Flags, self: Command) => {
      if (ca) {
        const pem = cli.readContext(self).ca;
        return show(cli, output, { ca: pem }, pem.trimEnd());
      }
      const link = await cli.withAdmin(self, (admin) => admin.createConsoleLink({ readOnly, endSessions }));
      const { url, expiresMs, certificateSha256, certificateOfMesh, endedSessions } = link;
      const json = { url, expires: renderTime(expiresMs), certificateSha256, certificateOfMesh, endedSessions };
      show(cli, output, json, visible(url));
      if (output === "table") for (const line of adviceAbout(link)) cli.note(line);
    });
  withExample(command, "ashlar console", "ashlar console --ca > mesh-ca.pem");
}

function adviceAbout(link: CreateConsoleLinkResponse): readonly string[] {
  const lines = [`The link works once, until ${renderTime(link.expiresMs)}. Do not pass it on.`];
  if (link.endedSessions > 0) lines.push(`Sessions ended: ${link.endedSessions}.`);
  if (link.certificateOfMesh) {
    lines.push(
      "The console's certificate is of the mesh's own CA. Have the browser trust that CA (`ashlar console --ca > mesh-ca.pem`),",
      "or compare the certificate that it warns about, once, with this SHA-256:",
      `  ${link.certificateSha256.match(/../g)?.join(":").toUpperCase() ?? ""}`,
    );
  }
  return lines;
}

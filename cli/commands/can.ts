import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { type Cli, show } from "../cli.js";
import { collect, outputOption, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain } from "../output.js";
import { parseServiceMethod } from "../service-method.js";

interface Flags {
  readonly header?: readonly string[];
  readonly claim?: readonly string[];
  readonly revision?: number;
  readonly output: OutputFormat;
}

/** `ashlar can CALLER SERVICE/METHOD`: exit 0 whatever the verdict. */
export function addCanCommand(program: Command, cli: Cli): void {
  const command = program
    .command("can")
    .description("Say whether a caller may call a method, and by which rule of which revision.")
    .argument("<caller>", "a service's name or a SPIFFE ID")
    .argument("<service/method>", "for example payments/shop.Payments/Charge; the service ends at the first slash")
    .option("--header <k=v>", "a request header, for conditions; may be given again", collect)
    .option("--claim <k=v>", "a claim of a token; not supported yet", collect)
    .option("--revision <number>", "under this revision; default: the active one", parseNumber)
    .addOption(outputOption())
    .action(async (caller: string, target: string, flags: Flags, self: Command) => {
      if (flags.claim !== undefined)
        throw new AshlarError("not_supported", "--claim is not supported yet: no tokens are verified yet");
      const headers = (flags.header ?? []).map(parseHeader);
      const { service, method } = parseServiceMethod(target);
      const { allowed, rule, revision, epoch, reason } = await cli.withAdmin(self, (admin) =>
        admin.checkAccess({ caller, service, method, revision: flags.revision ?? 0, headers }),
      );
      const text = `${allowed ? "allowed" : "denied"} by ${rule}, revision ${revision}${epoch === 0 ? "" : `, epoch ${epoch}`}`;
      const why = reason === "" ? "" : `\n${plain(reason)}`;
      show(cli, flags.output, { allowed, rule, revision, epoch, reason }, `${text}${why}`);
    });
  withExample(command, "ashlar can checkout payments/shop.Payments/Charge --header x-region=eu");
}

function parseHeader(text: string): { readonly name: string; readonly value: string } {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals)).trim().toLowerCase();
  if (/^[a-z0-9_.-]+$/.test(name)) return { name, value: text.slice(equals + 1).trim() };
  const example = "for example --header x-region=eu";
  throw new AshlarError("invalid_argument", `expected NAME=VALUE, ${example}, got ${JSON.stringify(text)}`);
}

import { type Command, InvalidArgumentError } from "commander";
import { gatewayWorkload } from "../../core/identity.js";
import { type Cli, show } from "../cli.js";
import { outputOption, parseDuration, parseLabel, parseNumber, withExample } from "../options.js";
import { type OutputFormat, renderTime, visible } from "../output.js";

interface Flags {
  readonly service?: string;
  readonly gateway?: string;
  readonly controlPlane?: string;
  readonly version: string;
  readonly ttl?: number;
  readonly uses: number;
  readonly output: OutputFormat;
}

/** The most uses that control planes give a token. */
const usesMax = 1000;

/** Adds `ashlar token`: prints only the token on stdout, so that it can be piped into a file. */
export function addTokenCommand(program: Command, cli: Cli): void {
  const command = program
    .command("token")
    .description(
      "Make a token that lets a proxy join as a service, a gateway, or one more control plane. The proxy gets the service and version that the token names.",
    )
    .option("--service <name>", "the service of the proxy", parseLabel)
    .option("--gateway <name>", "the name of a gateway, instead of a service", parseLabel)
    .option("--control-plane <name>", "the name of a further control plane, instead of a proxy", parseLabel)
    .option("--version <version>", "the version that the proxy runs", parseLabel, "v1")
    .option("--ttl <duration>", "how long the token is good for (default: 10m)", parseDuration)
    .option("--uses <number>", `how many proxies may use it, at most ${usesMax}`, parseUses, 1)
    .addOption(outputOption())
    .action(async ({ version, ttl = 600_000, uses, output, ...names }: Flags, self: Command) => {
      const { controlPlane = "" } = names;
      const given = [names.service, names.gateway, names.controlPlane].filter((name) => name !== undefined);
      if (given.length !== 1) self.error("error: give one of --service, --gateway and --control-plane");
      const service = names.gateway === undefined ? (names.service ?? "") : gatewayWorkload(names.gateway);
      const { token, expiresMs } = await cli.withAdmin(self, (admin) =>
        admin.createJoinToken({ service, version, ttlMs: ttl, uses, controlPlane }),
      );
      const ofGateway = names.gateway === undefined ? { service, version } : { gateway: names.gateway, version };
      const what = controlPlane === "" ? ofGateway : { controlPlane };
      show(cli, output, { token, ...what, expires: renderTime(expiresMs) }, visible(token));
    });
  withExample(command, "ashlar token --service payments --version v1 > payments.token");
}

function parseUses(text: string): number {
  const uses = parseNumber(text);
  if (uses > usesMax) throw new InvalidArgumentError(`Expected a whole number from 1 to ${usesMax}.`);
  return uses;
}

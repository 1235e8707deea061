import type { Command } from "commander";
import { type Cli, show } from "../cli.js";
import { outputOption, parseDuration, parseLabel, parseNumber, withExample } from "../options.js";
import { type OutputFormat, renderTime } from "../output.js";

interface Flags {
  readonly service?: string;
  readonly controlPlane?: string;
  readonly version: string;
  readonly ttl?: number;
  readonly uses: number;
  readonly output: OutputFormat;
}

/** `ashlar token`: the token alone on stdout, so that it can be piped into a file. */
export function addTokenCommand(program: Command, cli: Cli): void {
  const command = program
    .command("token")
    .description(
      "Make a token that lets a proxy join as a service, or one more control plane. The proxy gets the service and version that the token names.",
    )
    .option("--service <name>", "the service of the proxy", parseLabel)
    .option("--control-plane <name>", "the name of a further control plane, instead of a proxy", parseLabel)
    .option("--version <version>", "the version that the proxy runs", parseLabel, "v1")
    .option("--ttl <duration>", "how long the token is good for (default: 10m)", parseDuration)
    .option("--uses <number>", "how many proxies may use it", parseNumber, 1)
    .addOption(outputOption())
    .action(async ({ service = "", controlPlane = "", version, ttl = 600_000, uses, output }: Flags, self: Command) => {
      if ((service === "") === (controlPlane === "")) self.error("error: give either --service or --control-plane");
      const { token, expiresMs } = await cli.withAdmin(self, (admin) =>
        admin.createJoinToken({ service, version, ttlMs: ttl, uses, controlPlane }),
      );
      const what = controlPlane === "" ? { service, version } : { controlPlane };
      show(cli, output, { token, ...what, expires: renderTime(expiresMs) }, token);
    });
  withExample(command, "ashlar token --service payments --version v1 > payments.token");
}

import { Command } from "commander";
import { renderUsageError } from "../runtime/say-error.js";

const examples = `
Without --app and --agent the proxy only carries a client's outbound calls.
Every setting can also be a variable (--buffer-mib is ASHLAR_BUFFER_MIB) or an entry of the --config file (buffer-mib).
A flag wins over a variable, and a variable over the file. Durations are written as 500ms, 10s, 5m, 2h or 7d, sizes as
512KiB, 64MiB or 2GiB; a plain number is in the unit that the setting's name or description says, else milliseconds.

Examples:
  ashlar proxy --service payments --token payments.token --join mesh/join.json --inbound 127.0.0.1:7500 --app unix:/run/payments/app.sock
  ashlar proxy --service checkout --token - --join mesh/join.json --inbound 127.0.0.1:7501 --agent unix:/run/checkout/agent.sock
  ashlar proxy --service cron --token cron.token --join mesh/join.json --upstream payments=127.0.0.1:9001
  ashlar proxy --services services.yaml --join mesh/join.json --data ./proxies

Services are added to a proxy that runs and removed by \`ashlar proxy add\`, \`remove\` and \`list\`; see their --help.`;

export const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Returns the command line of `ashlar proxy`, which calls `act` with the flags that were given. */
export function createProxyCommand(act: (flags: Record<string, unknown>) => void): Command {
  const command = new Command("ashlar proxy")
    .description("Runs a proxy beside a service. Prints `ready` when it has joined and listens.")
    .option("--service <NAME>", "the service that the proxy stands beside; required without --services")
    .option("--token <FILE>", "a join token, - for stdin; needed once, until an identity is stored in --data")
    .option("--join <FILE>", "the control plane's join.json; required")
    .option(
      "--app <ADDRESS>",
      "where the application listens for gRPC over plain HTTP/2: unix:PATH, or HOST:PORT on a loopback address",
    )
    .option(
      "--agent [ADDRESS]",
      "the socket where the SDK registers the application: unix:PATH; without a value DATA/run/agent.sock",
    )
    .option("--inbound <HOST:PORT>", "where other proxies call, over mutual TLS; required with --app or --agent")
    .option("--advertise <HOST:PORT>", "the address that other proxies dial (default: the address of --inbound)")
    .option(
      "--outbound <ADDRESS>",
      "where the application sends its calls: unix:PATH or a loopback HOST:PORT (default: DATA/run/outbound.sock)",
    )
    .option(
      "--upstream <NAME=ADDRESS>",
      "a further address whose calls all go to service NAME: unix:PATH or a loopback HOST:PORT; may be repeated",
      gather,
    )
    .option("--label <KEY=VALUE>", "a label of this instance, for conditions in policy; may be repeated", gather)
    .option("--status <HOST:PORT>", "where /healthz, /readyz and /metrics are served (default: nowhere)")
    .option(
      "--data <DIR>",
      "the proxy's folder: identity and last good state (default: ashlar/proxy/SERVICE in $XDG_STATE_HOME or ~/.local/state)",
    )
    .option("--workers <N>", "how many processes carry calls, 1 to 64 (default: 1)")
    .option(
      "--services <FILE>",
      "YAML: a list of further services that this process stands beside, each with its settings named without the dashes",
    );
  return addProcessOptions(command)
    .addHelpText("after", examples)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(renderUsageError(text)) })
    .action((flags: Record<string, unknown>) => act(flags));
}

/** Adds the options that proxies and gateways share. */
export function addProcessOptions(command: Command): Command {
  return command
    .option(
      "--egress-key <NAME=CERT,KEY>",
      "PEM files of the certificate and key that `ashlar egress set --client-key-name NAME` asks for, read anew for each connection; may be repeated",
      gather,
    )
    .option(
      "--egress-dns <ADDRESS>",
      "a DNS server that is asked for the hosts of egresses, IP or IP:PORT; may be repeated (default: those of the system)",
      gather,
    )
    .option("--grace <DURATION>", "how long open calls may take when the proxy stops (default: 10s)")
    .option(
      "--buffer-mib <size>",
      "held for peers that do not read, in each worker: 1MiB to 65536MiB, a plain number is MiB (default: 256MiB)",
    )
    .option(
      "--message-mib <size>",
      "the longest gRPC message that passes: 1MiB to 65536MiB, a plain number is MiB (default: 64MiB)",
    )
    .option(
      "--header-kib <size>",
      "the most header fields of a request, and headers or trailers of an answer: 8KiB to 1024KiB, a plain number is KiB (default: 64KiB)",
    )
    .option(
      "--keepalive <DURATION>",
      "silence after which another proxy is pinged, more than 10s, 0: never (default: 20s on connections that the proxy opens, 30s on those that it accepts)",
    )
    .option(
      "--record-share <SHARE>",
      "the share of decisions other than refusals that is recorded, 0 to 1 or 0% to 100% (default: 0.01)",
    )
    .option(
      "--otlp <URL>",
      "where spans of calls are sent: grpc://HOST:PORT or grpcs:// for OTLP/gRPC, http:// or https:// for OTLP/HTTP (default: nowhere)",
    )
    .option(
      "--access-log <FILE>",
      "where lines about calls are appended that policy asks for, - for standard output (default: -)",
    )
    .option(
      "--warm <on|off>",
      "on: calls are carried in memory before the start, so that the first real ones cost less; takes CPU and memory (default: off)",
    )
    .option("--log-level <LEVEL>", "debug, info, warn, error or silent (default: info)")
    .option("--log-format <FORMAT>", "text or json (default: text on a terminal, else json)")
    .option("--config <FILE>", "YAML or JSON with any of these settings, named without the dashes");
}

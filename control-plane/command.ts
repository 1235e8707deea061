import { Command } from "commander";
import { renderUsageError } from "../runtime/say-error.js";

const examples = `
Every setting can also be a variable (--join-listen is ASHLAR_JOIN_LISTEN) or an entry of the --config file (join-listen).
A flag wins over a variable, and a variable over the file. --join and --token are read from flags and file only.
Durations are written as 500ms, 10s, 5m, 2h or 7d.

Examples:
  ashlar up                                              a mesh on this machine, data in the user's state folder
  ashlar up --data ./mesh --mesh shop --listen 127.0.0.1:7420
  ashlar up --nats nats://nats.internal:4222 --nats-account accounts.json
  ashlar up --data ./second --join mesh/join.json --token second.token`;

/** Returns the command line of `ashlar up`, which calls `act` with the flags that were given. */
export function createUpCommand(act: (flags: Record<string, unknown>) => void): Command {
  return new Command("ashlar up")
    .description("Starts a control plane, and NATS beside it unless --nats is given. Prints `ready` when it serves.")
    .option(
      "--data <DIR>",
      "the control plane's folder: keys, logs, addresses (default: $XDG_STATE_HOME/ashlar or ~/.local/state/ashlar)",
    )
    .option(
      "--listen <HOST:PORT>",
      "where the admin API listens (default: 127.0.0.1:7420, or a free port if that is taken)",
    )
    .option(
      "--join-listen <HOST:PORT>",
      "where proxies join and renew their certificates (default: the host of --listen with port 7421, or a free port if that is taken)",
    )
    .option("--console <HOST:PORT>", "where the web console is served, over HTTPS (default: nowhere)")
    .option(
      "--console-cert <CERT,KEY>",
      "the console's certificate and key, PEM files that are read again when they change (default: a certificate of the mesh's own CA)",
    )
    .option(
      "--console-host <NAME>",
      "a host name that the console answers to, beside localhost, addresses and the names of --console-cert; may be repeated, and the first stands in links",
      (name: string, before: string[] | undefined) => [...(before ?? []), name],
    )
    .option("--console-plain", "serve the console over plain HTTP, on a loopback address only")
    .option("--status <HOST:PORT>", "where /healthz, /readyz and /metrics are served (default: nowhere)")
    .option("--mesh <NAME>", "the mesh's name and trust domain (default: the folder's, or \"mesh\" in a new folder)")
    .option(
      "--nats <URL>",
      "the servers of your own NATS cluster, several joined by commas (default: a server of its own)",
    )
    .option(
      "--nats-account <FILE>",
      "the NATS accounts of control planes and proxies, required with --nats: see `ashlar nats setup` and docs/nats.md",
    )
    .option("--join <FILE>", "join an existing mesh as one more control plane: the join.json of the first one")
    .option("--token <FILE>", "the token for --join, from `ashlar token --control-plane NAME`")
    .option("--approvals <N>", "how many operators other than its author must approve a revision, 0 to 16 (default: 0)")
    .option(
      "--operator <NAME>",
      "a further operator, whose context is written to DIR/operator-NAME.json; may be repeated",
      (name: string, before: string[] | undefined) => [...(before ?? []), name],
    )
    .option("--decisions-age <DURATION>", "how long recorded decisions are kept, set when a mesh begins (default: 24h)")
    .option(
      "--decisions-bytes <SIZE>",
      "how much of recorded decisions is kept, such as 512MiB or 1GiB, less on a small disk; in a cluster of yours set when a mesh begins (default: 512MiB)",
    )
    .option(
      "--journal-bytes <SIZE>",
      "how much one service's journal keeps before its writes are refused, such as 20GiB, less on a small disk; in a cluster of yours set when the journal is made (default: 8GiB, in a cluster 1GiB)",
    )
    .option(
      "--unsigned-for <DURATION>",
      "how long after an update statements of older proxies, which are not signed, are believed (default: 7d)",
    )
    .option("--log-level <LEVEL>", "debug, info, warn, error or silent (default: info)")
    .option("--log-format <FORMAT>", "text or json (default: text on a terminal, else json)")
    .option("--config <FILE>", "YAML or JSON with any of these settings, named without the dashes")
    .addHelpText("after", examples)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(renderUsageError(text)) })
    .action((flags: Record<string, unknown>) => act(flags));
}

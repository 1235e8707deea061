import { Command } from "commander";
import { renderUsageError } from "../../runtime/say-error.js";
import { addProcessOptions, gather } from "../command.js";

const examples = `
What exists for clients outside, and who may use it, is policy (kind: Gateway); what differs by environment is said here.
Files of certificates are read anew when they change; open connections go on, save those of clients whose CA is gone.
Every setting can also be a variable (--header-kib is ASHLAR_HEADER_KIB) or an entry of the --config file (header-kib).

Examples:
  ashlar gateway --name public --token public.token --join mesh/join.json --listener web=0.0.0.0:443 --host web=shop.example --cert web=tls.crt,tls.key
  ashlar gateway --name public --join mesh/join.json --listener partners=0.0.0.0:8443 --cert partners=tls.crt,tls.key --client-ca partners=partners.pem
  ashlar gateway --name out --token out.token --join mesh/join.json --egress 10.0.0.7:8443 --egress-key cards=cards.crt,cards.key
  ashlar gateway --name dev --token dev.token --join mesh/join.json --listener web=127.0.0.1:8080`;

/** Returns the command line of `ashlar gateway`, which calls `act` with the flags that were given. */
export function createGatewayCommand(act: (flags: Record<string, unknown>) => void): Command {
  const command = new Command("ashlar gateway")
    .description(
      "Runs a gateway: for clients outside the mesh, and for calls that leave it. Prints `ready` when it has joined and listens.",
    )
    .option("--name <NAME>", "the gateway's name in policy; required")
    .option("--token <FILE>", "a join token (`ashlar token --gateway NAME`), - for stdin; needed once")
    .option("--join <FILE>", "the control plane's join.json; required")
    .option("--listener <LISTENER=HOST:PORT>", "where a listener of the Gateway listens; may be repeated", gather)
    .option(
      "--host <LISTENER=NAME>",
      "a host name that clients may ask a listener for, exact or *.NAME (default: any); may be repeated",
      gather,
    )
    .option("--origin <LISTENER=URL>", "an origin whose pages may call a listener; may be repeated", gather)
    .option(
      "--cert <LISTENER=CERT,KEY>",
      "PEM files of a certificate with its chain and of its key; may be repeated, the client's host name chooses (default: plain HTTP/2, on a loopback address only)",
      gather,
    )
    .option("--client-ca <LISTENER=FILE>", "a PEM file of the CAs whose clients' certificates are taken", gather)
    .option(
      "--descriptors <FILE>",
      "a FileDescriptorSet with all imports (buf build -o FILE.binpb), at most 8 MiB: clients of Connect may speak JSON to its methods; may be repeated",
      gather,
    )
    .option(
      "--proxy-protocol-from <CIDR>",
      "the addresses of balancers in front that say whom they pass on by PROXY protocol v2, and have to; may be repeated (default: none does)",
      gather,
    )
    .option(
      "--forwarded-from <CIDR>",
      "the addresses of hops in front whose x-forwarded-for counts; may be repeated (default: none does)",
      gather,
    )
    .option(
      "--health-from <CIDR>",
      "the addresses of balancers in front that may ask by grpc.health.v1 whether a listener serves; may be repeated (default: nobody may)",
      gather,
    )
    .option(
      "--egress <HOST:PORT>",
      "where proxies of the mesh are let out, to the egresses that `ashlar egress set --through NAME` names (default: nowhere)",
    )
    .option("--advertise <HOST:PORT>", "the address that proxies dial for it (default: the address of --egress)")
    .option("--label <KEY=VALUE>", "a label of this instance, for conditions in policy; may be repeated", gather)
    .option("--workers <N>", "how many processes carry calls, 1 to 64 (default: 1)")
    .option("--status <HOST:PORT>", "where /healthz, /readyz and /metrics are served (default: nowhere)")
    .option(
      "--data <DIR>",
      "the gateway's folder: identity and last good state (default: ashlar/gateway/NAME in $XDG_STATE_HOME or ~/.local/state)",
    );
  return addProcessOptions(command)
    .addHelpText("after", examples)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(renderUsageError(text)) })
    .action((flags: Record<string, unknown>) => act(flags));
}

import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { headerNames } from "../../core/wire/headers.js";
import { type Cli, show } from "../cli.js";
import type { CheckAccessResponse, LimitMet } from "../client.js";
import { collect, outputOption, parseLabel, parseNumber, withExample } from "../options.js";
import { type OutputFormat, plain } from "../output.js";
import { besideToJson, renderBeside } from "../rollout-beside.js";
import { parseServiceMethod } from "../service-method.js";

interface Flags {
  readonly header?: readonly string[];
  readonly client?: string;
  readonly claim?: readonly string[];
  readonly tokenIssuer?: string;
  readonly revision?: number;
  readonly exitCode?: boolean;
  readonly output: OutputFormat;
}

/** Adds `ashlar can CALLER SERVICE/METHOD`. It exits with 0 whatever the verdict, unless the exit code is asked for. */
export function addCanCommand(program: Command, cli: Cli): void {
  const command = program
    .command("can")
    .description("Say whether a caller may call a method, and by which rule of which revision.")
    .argument("<caller>", "a service's name, gateway/NAME or a SPIFFE ID")
    .argument("<service/method>", "for example payments/shop.Payments/Charge; the service ends at the first slash")
    .option("--header <k=v>", "a request header, for conditions; may be repeated", collect)
    .option("--client <name>", "an outside client that a gateway proved: a URI, or sha256: and the hash of its key")
    .option("--claim <k=v>", "a claim of a token, its value in JSON or a text; may be repeated", collect)
    .option("--token-issuer <name>", "the token's JwtIssuer, for conditions that read jwt.issuer", parseLabel)
    .option("--revision <number>", "the revision that judges; default: the active one", parseNumber)
    .option("--exit-code", "exit with 1 if the call is denied")
    .addOption(outputOption())
    .action(async (caller: string, target: string, flags: Flags, self: Command) => {
      const client = flags.client === undefined ? [] : [{ name: headerNames.client, value: flags.client }];
      const headers = [...(flags.header ?? []).map(parseHeader), ...client];
      const { service, method } = parseServiceMethod(target);
      const answer = await cli.withAdmin(self, (admin) =>
        admin.checkAccess({
          caller,
          service,
          method,
          revision: flags.revision ?? 0,
          headers,
          claims: flags.claim === undefined ? "" : JSON.stringify(Object.fromEntries(flags.claim.map(parseClaim))),
          tokenIssuer: flags.tokenIssuer ?? "",
        }),
      );
      const { allowed, rule, revision, epoch, reason, rollout, judgedMethod, direct } = answer;
      const limits = answer.limits.map(limitToJson);
      const json = { allowed, rule, revision, epoch, reason, limits, judgedMethod, direct, ...besideToJson(rollout) };
      show(cli, flags.output, json, renderAnswer(answer));
      if (flags.exitCode && !allowed) throw new AshlarError("denied", plain(`${caller} may not call ${target}`));
    });
  withExample(
    command,
    "ashlar can checkout payments/shop.Payments/Charge --header x-region=eu",
    "ashlar can checkout payments/shop.Payments/Charge --exit-code",
    "ashlar can gateway/public storefront/shop.Storefront/Buy --client spiffe://partner/till",
    "ashlar can checkout payments/shop.Payments/Charge --claim sub=ann --claim 'roles=[\"clerk\"]'",
  );
}

function limitToJson({ name, rate, burst, cost, per, scope }: LimitMet) {
  return { name, rate, burst, cost, per, scope };
}

function renderAnswer({
  allowed,
  rule,
  revision,
  epoch,
  reason,
  limits,
  rollout,
  direct,
}: CheckAccessResponse): string {
  const verdict = `${allowed ? "allowed" : "denied"} by ${rule}`;
  const more = reason.startsWith(verdict) ? reason.slice(verdict.length).replace(/^[,;]? */, "") : reason;
  return [
    plain(`${verdict}, revision ${revision}${epoch === 0 ? "" : `, epoch ${epoch}`}`),
    plain(more),
    direct ? "may go direct: applications of the caller need not pass their own proxy for it" : "",
    ...limits.map(renderLimit),
    renderBeside(rollout),
  ]
    .filter((line) => line !== "")
    .join("\n");
}

function renderLimit({ name, rate, burst, cost, per, scope }: LimitMet): string {
  const key = per.length === 0 ? "for all calls together" : `for each ${per.join(" and ")}`;
  const shared = scope === "mesh" ? ", shared by all proxies of the service" : "";
  return plain(`limited by ${name}: ${rate}, burst ${burst}, ${key}${shared}${cost === 1 ? "" : `; it takes ${cost}`}`);
}

function parseHeader(text: string): { readonly name: string; readonly value: string } {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals)).trim().toLowerCase();
  if (/^[a-z0-9_.-]+$/.test(name)) return { name, value: text.slice(equals + 1).trim() };
  const example = "for example --header x-region=eu";
  throw new AshlarError("invalid_argument", `expected NAME=VALUE, ${example}, got ${JSON.stringify(text)}`);
}

/** Parses NAME=VALUE. A value that is JSON is taken as JSON: level=3 is a number, name=ann a text. */
function parseClaim(text: string): readonly [string, unknown] {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals));
  if (name === "") {
    const example = "for example --claim sub=ann";
    throw new AshlarError("invalid_argument", `expected NAME=VALUE, ${example}, got ${JSON.stringify(text)}`);
  }
  const value = text.slice(equals + 1);
  try {
    return [name, JSON.parse(value) as unknown];
  } catch {
    return [name, value];
  }
}

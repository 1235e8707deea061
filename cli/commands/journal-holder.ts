import { createPublicKey } from "node:crypto";
import type { Command } from "commander";
import { AshlarError } from "../../core/errors.js";
import { isHolderKey } from "../../core/journal/private/keys.js";
import { type Cli, show } from "../cli.js";
import type { JournalHolderInfo } from "../client.js";
import { outputOption, withExample } from "../options.js";
import { type OutputFormat, renderTable, renderTime } from "../output.js";
import { readTextFile } from "../read-text-file.js";

interface Flags {
  readonly output: OutputFormat;
}

/** Adds `ashlar journal holder` and `ashlar journal holder set`: who may read private fields. */
export function addHolderCommand(journal: Command, cli: Cli): void {
  const command = journal
    .command("holder")
    .description("Show who may read the private fields of journals whose policy names no holder.")
    .addOption(outputOption())
    .action(async ({ output }: Flags, self: Command) => {
      const { holder } = await cli.withAdmin(self, (admin) => admin.getJournalHolder({}));
      if (holder === undefined) show(cli, output, null, "The mesh has no holder of private fields.");
      else show(cli, output, toJson(holder), render(holder));
    });
  withExample(command, "ashlar journal holder");
  const set = command
    .command("set")
    .description(
      "Say who may read the private fields that are written from now on, where policy names no holder: a public key, in the\n" +
        "trust log. What was written before stays readable for the holder before, and for nobody else. Noted in the audit log.",
    )
    .argument("<file>", "a public key of X25519: PEM (openssl pkey -pubout), or its base64 in one line")
    .addOption(outputOption())
    .action(async (file: string, _flags: unknown, self: Command) => {
      const { output } = self.optsWithGlobals<Flags>();
      const publicKey = readPublicKey(file, await readTextFile("<file>", file));
      const { created, holder } = await cli.withAdmin(self, (admin) => admin.setJournalHolder({ publicKey }));
      const { fingerprint = "" } = holder ?? {};
      const text = created ? `The holder is ${fingerprint}.` : `The holder is ${fingerprint} already.`;
      show(cli, output, { created, ...(holder && toJson(holder)) }, text);
    });
  withExample(set, "ashlar journal holder set holder-public.pem");
}

/** Returns a public key as policy writes it. Fails with `invalid_argument`, in particular for a private key. */
function readPublicKey(file: string, text: string): string {
  const refuse = (why: string): never => {
    throw new AshlarError("invalid_argument", `${file} ${why}`);
  };
  if (text.includes("PRIVATE KEY"))
    return refuse("is a private key, which stays with the holder: give the public one (openssl pkey -in FILE -pubout)");
  const written = text.trim();
  const key = written.startsWith("-----") ? spkiOf(written) : written;
  return isHolderKey(key)
    ? key
    : refuse("is no public key of X25519 (openssl genpkey -algorithm x25519, then openssl pkey -pubout)");
}

/** Returns the base64 of a PEM's SubjectPublicKeyInfo; "": it is none. */
function spkiOf(pem: string): string {
  try {
    return createPublicKey(pem).export({ format: "der", type: "spki" }).toString("base64");
  } catch {
    return "";
  }
}

const toJson = ({ publicKey, fingerprint, sinceMs }: JournalHolderInfo) => ({
  publicKey,
  fingerprint,
  since: renderTime(sinceMs),
});

const render = ({ publicKey, fingerprint, sinceMs }: JournalHolderInfo): string =>
  renderTable(["PUBLIC KEY", "SHA-256", "SINCE"], [[publicKey, fingerprint, renderTime(sinceMs)]]);

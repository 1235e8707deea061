import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { PolicyFile } from "../../core/model.js";
import { exportFiles } from "../../core/snapshot/export-files.js";
import { parseBundle } from "../../core/wire/bundle.js";
import { writeDurably } from "../../runtime/durable-file.js";
import type { Cli } from "../cli.js";
import { parseNumber, withExample } from "../options.js";
import { counted } from "../output.js";
import { listPolicyFiles } from "../policy-files.js";

interface Flags {
  readonly out?: string;
  readonly bundle?: string;
  readonly replace?: boolean;
}

const namedMax = 5;

/** `ashlar export [REV]`: its policy as files, or as one file for another mesh. */
export function addExportCommand(program: Command, cli: Cli): void {
  const command = program
    .command("export")
    .summary("Write a revision's policy as files, or as one file for another mesh.")
    .description(
      "Write a revision's policy, by default the active one's.\n" +
        "As files, one a service, that say the very same: applying them makes no new revision.\n" +
        "As a bundle, one file to import in another mesh: the same bytes with the same digest.",
    )
    .argument("[revision]", "its number", parseNumber)
    .option("-o, --out <dir>", "write policy files into this folder")
    .option("--replace", "remove policy files that are in the folder and are not part of it")
    .option("--bundle <file>", "write a bundle")
    .action(async (number: number | undefined, { out, bundle, replace = false }: Flags, self: Command) => {
      if (out === undefined && bundle === undefined) self.error("error: give --out DIR, --bundle FILE, or both");
      const exported = await cli.withAdmin(self, (admin) => admin.exportRevision({ number: number ?? 0 }));
      const { snapshot, revision } = parseBundle(exported.bundle); // not a byte is written that does not hold
      const units = snapshot.units.map(({ unit }) => unit);
      if (out !== undefined) {
        const files = exportFiles(units, snapshot.list.digest);
        await writeFolder(out, files, replace);
        cli.print(`Revision ${revision.body.number} is in ${counted(files.length, "file")} in ${out}.`);
      }
      if (bundle === undefined) return;
      writeFileWhole(bundle, exported.bundle);
      cli.print(`Revision ${revision.body.number} is in ${bundle}: snapshot ${snapshot.list.digest}.`);
    });
  withExample(command, "ashlar export 7 -o policy/", "ashlar export --bundle release.ashlar");
}

function writeFileWhole(path: string, bytes: Uint8Array): void {
  try {
    writeDurably(path, bytes, 0o644);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** What is left over from before would be applied too, so it has to go or it is refused. */
async function writeFolder(folder: string, files: readonly PolicyFile[], replace: boolean): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    const own = new Set(files.map(({ name }) => resolve(folder, name)));
    const others = (await listPolicyFiles(folder)).filter((path) => !own.has(resolve(path)));
    if (others.length > 0 && !replace) {
      const named = others.slice(0, namedMax).map((path) => relative(folder, path));
      const more = others.length > namedMax ? ` and ${others.length - namedMax} more` : "";
      throw new AshlarError(
        "exists",
        `${folder} has policy that is not part of the revision: ${named.join(", ")}${more}; give --replace to remove it, or another folder`,
      );
    }
    for (const { name, content } of files) await writeFile(join(folder, name), content);
    for (const path of others) await rm(path);
  } catch (cause) {
    if (cause instanceof AshlarError) throw cause;
    throw new AshlarError("invalid_argument", `cannot write into ${folder}: ${messageOf(cause)}`, { cause });
  }
}

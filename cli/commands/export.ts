import { rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { AshlarError } from "../../core/errors.js";
import type { PolicyFile } from "../../core/model.js";
import { exportFiles } from "../../core/snapshot/export-files.js";
import { parseBundle } from "../../core/wire/bundle.js";
import { fileReason } from "../../runtime/file-reason.js";
import { makeFolders } from "../../runtime/make-folders.js";
import { type Cli, show } from "../cli.js";
import { type PathOrFormat, parseNumber, parsePathOrFormat, withExample } from "../options.js";
import { counted } from "../output.js";
import { listPolicyFiles } from "../policy-files.js";
import { writeFileWhole } from "../write-file.js";

interface Flags {
  readonly output?: PathOrFormat;
  readonly outputDir?: string;
  /** The former name of --output-dir. */
  readonly out?: string;
  readonly bundle?: string;
  readonly replace?: boolean;
}

const namedMax = 5;

/** Adds `ashlar export [REV]`: writes a revision's policy as files, or as one file for another mesh. */
export function addExportCommand(program: Command, cli: Cli): void {
  const command = program
    .command("export")
    .summary("Write a revision's policy as files, or as one file for another mesh.")
    .description(
      "Write a revision's policy, by default the active one's.\n" +
        "As files, one per service: applying them again makes no new revision.\n" +
        "Or as a bundle, one file to import in another mesh: the same bytes with the same digest.",
    )
    .argument("[revision]", "its number", parseNumber)
    .option(
      "-o, --output <format>",
      "what to print on stdout: yaml, table (as yaml) or json; anything else is taken as --output-dir",
      parsePathOrFormat,
    )
    .option("--output-dir <dir>", "write policy files into this folder")
    .addOption(new Option("--out <dir>").hideHelp())
    .option("--replace", "remove policy files that are in the folder and are not part of it")
    .option("--bundle <file>", "write a bundle")
    .action(async (number: number | undefined, flags: Flags, self: Command) => {
      const { output, bundle, replace = false } = flags;
      const out = flags.outputDir ?? flags.out ?? (output !== undefined && "path" in output ? output.path : undefined);
      const format = output !== undefined && "format" in output ? output.format : undefined;
      if (out === undefined && bundle === undefined && format === undefined)
        self.error("error: give --output-dir DIR, --bundle FILE, or -o yaml|json");
      const say = format === undefined ? cli.print : cli.note;
      const exported = await cli.withAdmin(self, (admin) => admin.exportRevision({ number: number ?? 0 }));
      const { snapshot, revision } = parseBundle(exported.bundle); // verified before anything is written
      const units = snapshot.units.map(({ unit }) => unit);
      const isWritten = out !== undefined || format !== undefined;
      const files = isWritten ? exportFiles(units, snapshot.list.digest) : [];
      if (out !== undefined) {
        await writeFolder(out, files, replace);
        say(`Revision ${revision.body.number} is in ${counted(files.length, "file")} in ${out}.`);
      }
      if (bundle !== undefined) {
        writeFileWhole(bundle, exported.bundle, 0o644);
        say(`Revision ${revision.body.number} is in ${bundle}: snapshot ${snapshot.list.digest}.`);
      }
      if (format === undefined) return;
      const about = { revision: revision.body.number, digest: revision.digest, snapshot: snapshot.list.digest };
      const text = files.map(({ content }) => content.trimEnd()).join("\n---\n");
      if (format === "json") show(cli, format, { ...about, files, outputDir: out, bundle }, "");
      else cli.print(text); // files as they are, or applying them would make another revision
    });
  withExample(
    command,
    "ashlar export 7 --output-dir policy/",
    "ashlar export --bundle release.ashlar",
    "ashlar export 7 -o yaml",
  );
}

/** Refuses other policy files in the folder, or removes them with --replace, because they would be applied too. */
async function writeFolder(folder: string, files: readonly PolicyFile[], replace: boolean): Promise<void> {
  try {
    makeFolders(folder);
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
    throw new AshlarError("invalid_argument", `cannot write into ${folder}: ${fileReason(cause)}`, { cause });
  }
}

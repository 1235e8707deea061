/** The services that were added to a running proxy: each is there again after a restart, until it is removed. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { readJsonIfThere, replaceDurably } from "../../runtime/durable-file.js";
import { fileReason } from "../../runtime/file-reason.js";
import { type ServiceSettings, servicesFolder } from "./service-settings.js";
import { type ListedService, readSettings } from "./services-file.js";

const name = "settings.json";

export class KeptServices {
  readonly #folder: string;

  /** `dataDir`: the folder of the process. */
  constructor(dataDir: string) {
    this.#folder = servicesFolder(dataDir);
  }

  /** On disk when it resolves. Fails with `unavailable`. */
  async keep(service: string, settings: ServiceSettings): Promise<void> {
    const folder = join(this.#folder, service);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await replaceDurably(join(folder, name), `${JSON.stringify(settings, undefined, 2)}\n`);
    } catch (cause) {
      throw new AshlarError("unavailable", `cannot keep ${service} for the next start: ${fileReason(cause)}`, {
        cause,
      });
    }
  }

  /** Returns whether it was kept. Its identity stays: it may be added again without a token. */
  async forget(service: string): Promise<boolean> {
    const path = join(this.#folder, service, name);
    try {
      await rm(path);
      return true;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw new AshlarError("unavailable", `cannot remove ${path}: ${fileReason(cause)}`, { cause });
    }
  }

  /** Those that were added before. Fails with `invalid_argument` if what is kept of one cannot be read. */
  async list(): Promise<readonly ListedService[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const kept: ListedService[] = [];
    for (const service of names.filter(isLabel).sort()) {
      const place = join(this.#folder, service, name);
      const settings = this.#read(place);
      if (settings !== undefined) kept.push({ settings: readSettings(settings, place), place });
    }
    return kept;
  }

  #read(path: string): unknown {
    try {
      return readJsonIfThere(path);
    } catch (cause) {
      throw new AshlarError("invalid_argument", `${path} cannot be read: ${fileReason(cause)}`, { cause });
    }
  }
}

/**
 * Stores the services that were added to a running proxy: each is started again after a restart, until it is removed.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AshlarError, isAshlarError } from "../../core/errors.js";
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

  /** Stores a service, which is on disk when this resolves. Fails with `unavailable`. */
  async keep(service: string, settings: ServiceSettings): Promise<void> {
    const path = this.#path(service);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await replaceDurably(path, `${JSON.stringify(settings, undefined, 2)}\n`);
    } catch (cause) {
      throw new AshlarError("unavailable", `cannot keep ${service} for the next start: ${fileReason(cause)}`, {
        cause,
      });
    }
  }

  /**
   * Forgets a service. Returns whether it was stored. Its identity stays, so that it may be added again without a
   * token.
   */
  async forget(service: string): Promise<boolean> {
    const path = this.#path(service);
    try {
      await rm(path);
      return true;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw new AshlarError("unavailable", `cannot remove ${path}: ${fileReason(cause)}`, { cause });
    }
  }

  /** Returns the names of the stored services, sorted. */
  async names(): Promise<readonly string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter((service) => isLabel(service) && existsSync(this.#path(service))).sort();
  }

  /** Returns the settings of a stored service. Fails with `invalid_argument` if they cannot be read. */
  read(service: string): ListedService {
    const place = this.#path(service);
    try {
      return { settings: readSettings(readJsonIfThere(place), place), place };
    } catch (cause) {
      if (isAshlarError(cause, "invalid_argument")) throw cause;
      throw new AshlarError("invalid_argument", `${place} cannot be read: ${fileReason(cause)}`, { cause });
    }
  }

  #path(service: string): string {
    return join(this.#folder, service, name);
  }
}

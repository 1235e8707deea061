// The last step of the build: makes the command executable.
import { chmodSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";

const main = join(resolve(import.meta.dirname, ".."), "dist/cli/main.js");
if (existsSync(main)) chmodSync(main, 0o755);

/** The programs of the Connect project's suite, built from the Go module that `go.mod` beside this file pins. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const module = "connectrpc.com/conformance";
const buildMsMax = 600_000;

export interface SuitePrograms {
  readonly runner: string;
  readonly referenceServer: string;
  /** A FileDescriptorSet of the suite's service, with all imports. */
  readonly descriptors: string;
}

/** Builds the suite into `dir`. `root`: the repository. Fails with what is missing, and what to do. */
export async function buildSuite(root: string, dir: string): Promise<SuitePrograms> {
  const cwd = join(root, "test/conformance/connect");
  const go = async (...args: string[]): Promise<string> => {
    try {
      return (await runFile("go", args, { cwd, timeout: buildMsMax })).stdout.trim();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT")
        throw new Error("`go` is not found: install Go (https://go.dev/dl) and put it on PATH", { cause });
      throw new Error(`the suite cannot be built: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  };
  const names = ["connectconformance", "referenceserver"] as const;
  await go("build", "-o", `${dir}/`, ...names.map((name) => `${module}/cmd/${name}`));
  const source = await go("list", "-m", "-f", "{{.Dir}}", module);
  const descriptors = join(dir, "suite.binpb");
  const buf = join(root, "node_modules/@bufbuild/buf/bin/buf");
  await runFile(process.execPath, [buf, "build", join(source, "proto"), "-o", descriptors]);
  return { runner: join(dir, names[0]), referenceServer: join(dir, names[1]), descriptors };
}

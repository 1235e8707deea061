// Runs command lines of the built CLI for a test, one process for all of them: loading the CLI is most of what a
// command costs. Over IPC it is sent {id, words, contextPath} and answers {id, code, stdout, stderr}; it ends with its
// parent.

import { runCli } from "../../dist/cli/program.js";
import { systemClock } from "../../dist/runtime/clock.js";
import { productVersion } from "../../dist/runtime/product-version.js";

/** Returns the environment that cli/main.ts has without a terminal. */
function environment(contextPath, said) {
  return {
    clock: systemClock,
    version: productVersion(),
    contextPath,
    writeOut: (chunk) => {
      said.stdout += chunk;
    },
    writeError: (chunk) => {
      said.stderr += chunk;
    },
    readStdin: async () => "",
    runProcess: () => {
      throw new Error("this is a process of its own: start it by TestProcess");
    },
  };
}

process.on("message", async ({ id, words, contextPath }) => {
  const said = { stdout: "", stderr: "" };
  const code = await runCli(words, environment(contextPath, said));
  process.send({ id, code, ...said });
});
process.on("disconnect", () => process.exit(0));

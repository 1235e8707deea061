// npm start: sets up what is missing, then runs the demo mesh (examples/shop/demo.ts) in the foreground.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

setUp();
const demo = spawn(process.execPath, [join(root, "dist/examples/shop/demo.js"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => demo.kill(signal));
demo.on("exit", (code) => process.exit(code ?? 1));

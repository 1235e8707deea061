/** Runs the Connect project's suite against a gateway of a real mesh, whose application is the suite's reference server. */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readFlags } from "../../../bench/options.js";
import { basic, dnsName, extended, extendedUsage, keyUsage, san, usage } from "../../support/certificates.js";
import { credentialsOf, makeCertificate } from "../certificates.js";
import { Mesh, type MeshProxy } from "../mesh.js";
import { whenKilled } from "../when-killed.js";
import { ReferenceServer } from "./application.js";
import { policy, service } from "./policy.js";
import { buildSuite, type SuitePrograms } from "./programs.js";
import type { UnderTest } from "./server.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run connect-suite -- [--run PATTERN...] [--trace] [--root DIR]
Builds the conformance suite of the Connect project (needs Go, and its modules once) and calls a gateway with it:
Connect, gRPC-Web and gRPC. Prints each case that fails and "N passed, N failed"; --run: these cases only; --trace: also
what was sent. Exit 1 if a case fails that test/conformance/connect/known-failing.txt does not name, or one of those passes.`,
  example: 'npm run connect-suite -- --run "Connect Unexpected Requests/**"',
});
const root = resolve(flags.get("root")?.[0] ?? join(import.meta.dirname, "../../../.."));
const folder = join(root, "test/conformance/connect");
const mesh = new Mesh(root);

interface Listeners {
  readonly gateway: MeshProxy;
  /** The certificate that the clients of `tls` trust. */
  readonly pemCert: string;
}

async function startGateway(descriptors: string): Promise<Listeners> {
  const made = makeCertificate(
    [...[basic(false), keyUsage([usage.digitalSignature]), extended(extendedUsage.server)], san(dnsName("localhost"))],
    undefined,
  );
  const { keyPem, chainPem } = credentialsOf(made);
  const [certificate, key] = [join(mesh.dir, "edge.crt"), join(mesh.dir, "edge.key")];
  writeFileSync(certificate, chainPem);
  writeFileSync(key, keyPem, { mode: 0o600 });
  const gateway = await mesh.gateway({
    name: "gateway",
    attacked: "tls",
    flags: [
      ...["--listener", "plain=127.0.0.1:0", "--listener", "tls=127.0.0.1:0", "--cert", `tls=${certificate},${key}`],
      ...["--descriptors", descriptors],
    ],
  });
  return { gateway, pemCert: chainPem };
}

/** Runs the suite and returns its exit code. What it prints goes to stdout. */
function runSuite({ runner }: SuitePrograms, file: string): Promise<number> {
  const chosen = (flags.get("run") ?? []).flatMap((pattern) => ["--run", pattern]);
  const args = [
    ...[
      "--mode",
      "server",
      "--conf",
      join(folder, "config.yaml"),
      ...chosen,
      ...(flags.has("trace") ? ["--trace"] : []),
    ],
    ...(chosen.length === 0 ? ["--known-failing", `@${join(folder, "known-failing.txt")}`] : []),
    ...["--", process.execPath, join(import.meta.dirname, "server.js"), file],
  ];
  const child = spawn(runner, args, { stdio: ["ignore", "inherit", "inherit"] });
  const takeBack = whenKilled({ end: async () => child.kill(), endNow: () => child.kill() });
  return new Promise((done, failed) => {
    child.once("error", failed);
    child.once("exit", (code) => {
      takeBack();
      done(code ?? 1);
    });
  });
}

async function main(): Promise<number> {
  const built = join(mesh.dir, "suite");
  mkdirSync(built);
  const programs = await buildSuite(root, built);
  const application = await ReferenceServer.start(programs.referenceServer);
  try {
    await mesh.start();
    await mesh.proxy({ name: service, service, flags: ["--app", `127.0.0.1:${application.port}`] });
    await mesh.apply(policy);
    await mesh.healthy(service);
    const { gateway, pemCert } = await startGateway(programs.descriptors);
    const underTest: UnderTest = {
      descriptors: programs.descriptors,
      plain: { ...gateway.listener("plain"), pemCert: "" },
      tls: { host: "localhost", port: gateway.inbound.port, pemCert },
    };
    const file = join(mesh.dir, "under-test.json");
    writeFileSync(file, JSON.stringify(underTest));
    return await runSuite(programs, file);
  } finally {
    application.stop();
  }
}

whenKilled({ end: () => mesh.stop(), endNow: () => undefined });
let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await mesh.stop();
}
process.exit(code);

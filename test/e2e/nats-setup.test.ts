/** A mesh on a cluster whose operator ran what `ashlar nats setup` prints, with the real `nsc` where it is to be had. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { freePort } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { natsPrograms } from "../support/nats-programs.js";
import { cliPath, run, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

/** NSC names it; else the one on the PATH. */
function findNsc(): string | undefined {
  try {
    return execFileSync("sh", ["-c", 'command -v "$0"', process.env.NSC ?? "nsc"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const nsc = findNsc();
const root = mkdtempSync(join(tmpdir(), "ash-nsc-"));
const accountFile = join(root, "accounts.json");
let printed = "";

beforeAll(async () => {
  const done = await run(process.execPath, [cliPath, "nats", "setup", "--nats-account", accountFile]);
  if (done.code !== 0) throw new Error(done.stderr);
  printed = done.stdout;
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("what is printed is a script, which ends with the push", async () => {
  writeFileSync(join(root, "setup.sh"), printed);
  const checked = await run("sh", ["-n", join(root, "setup.sh")]);
  expect([checked.code, checked.stderr]).toEqual([0, ""]);
  expect(printed.trimEnd().split("\n").at(-1)).toBe("nsc push --all");
});

/** An operator's own folder, and a server that takes accounts from it. */
class Operator {
  readonly #dir: string;
  readonly #env: Record<string, string>;
  readonly url: string;
  #server: TestProcess | undefined;

  constructor(dir: string, port: number) {
    mkdirSync(dir, { recursive: true });
    this.#dir = dir;
    this.url = `nats://127.0.0.1:${port}`;
    const path = `${dirname(nsc ?? "")}:${process.env.PATH}`;
    this.#env = { HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir, NKEYS_PATH: join(dir, "keys"), PATH: path };
  }

  async sh(script: string): Promise<string> {
    const done = await run("sh", ["-e", "-c", `cd "$0"\n${script}`, this.#dir], { env: this.#env });
    if (done.code !== 0) throw new Error(`${done.stdout}${done.stderr}`);
    return `${done.stdout}${done.stderr}`;
  }

  async serve(program: string): Promise<void> {
    await this.sh("nsc add operator --name O --sys --generate-signing-key");
    await this.sh(`nsc edit operator --account-jwt-server-url ${this.url}`);
    await this.sh("nsc generate config --nats-resolver --config-file resolver.conf");
    const listen = this.url.slice("nats://".length);
    const config = `server_name: one\nlisten: "${listen}"\njetstream { store_dir: "js" }\ninclude resolver.conf\n`;
    writeFileSync(join(this.#dir, "nats.conf"), config);
    this.#server = new TestProcess("nats", "sh", ["-c", 'cd "$0" && exec "$1" -c nats.conf', this.#dir, program]);
    await until("nats-server serves", () => this.#server?.stderr.includes("Server is ready") === true);
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }
}

for (const { name, program } of nsc === undefined ? [] : natsPrograms) {
  test(`a mesh starts on ${name} once it was run; a user that the operator revokes ends`, async () => {
    const operator = new Operator(join(root, program.replaceAll("/", "-")), await freePort());
    const open: { stop(): Promise<unknown> }[] = [operator];
    try {
      await operator.serve(program);
      await operator.sh(printed);
      const mesh = await TestMesh.start("cluster", ["--nats", operator.url, "--nats-account", accountFile]);
      open.unshift(mesh);
      await mesh.apply("kind: Service\nname: payments\n");
      const proxy = await mesh.proxy({ name: "p", service: "payments" });
      await until("the proxy is in force", async () => {
        const [one] = await mesh.json(0, "proxies");
        return one?.revision === 1;
      });
      const [{ id }] = await mesh.json(0, "proxies");
      const revoked = await mesh.cli("revoke", id);
      expect([revoked.code, revoked.stderr]).toEqual([0, ""]);
      const { problems } = await mesh.json(0, "status");
      const user = /\((U[A-Z2-7]{55})\)/.exec(JSON.stringify(problems))?.[1];
      await operator.sh(`nsc revocations add-user --account PROXIES --user-public-key ${user}`);
      await operator.sh("nsc push --account PROXIES");
      await until("its user is refused", () => proxy.process.stderr.includes("NATS refuses our credentials"));
    } finally {
      for (const one of open) await one.stop();
    }
  }, 180_000);
}

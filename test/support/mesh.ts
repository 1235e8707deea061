/** A real mesh for end-to-end tests: `ashlar up`, proxies and applications, each in a process of its own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AdminClient, openAdminClient } from "../../cli/client.js";
import { readContext } from "../../cli/context.js";
import { CliHost } from "./cli-host.js";
import { cliPath, type Finished, repository, run, TestProcess } from "./processes.js";
import { until } from "./until.js";

/** How long a process may take to start on a busy machine, in milliseconds. */
const startMs = 90_000;

export interface ProxyOptions {
  readonly name: string;
  readonly service: string;
  readonly version?: string;
  /** Further flags, for example ["--app", "unix:…"]. There is always an agent socket. */
  readonly flags?: readonly string[];
  /** A file that contains by how many milliseconds the proxy's wall clock is off. */
  readonly clockFile?: string;
}

/** Returns the environment of a process whose wall clock follows a file. */
function clockFrom(file: string | undefined): Record<string, string> {
  if (file === undefined) return {};
  const preload = join(repository, "test/support/set-clock.mjs");
  return { NODE_OPTIONS: `--import ${preload}`, ASHLAR_TEST_CLOCK_FILE: file };
}

export class TestProxy {
  readonly name: string;
  readonly dir: string;
  readonly args: readonly string[];
  readonly #env: Record<string, string>;
  process: TestProcess;

  constructor(name: string, dir: string, args: readonly string[], env: Record<string, string> = {}) {
    this.name = name;
    this.dir = dir;
    this.args = args;
    this.#env = env;
    this.process = this.start();
  }

  start(): TestProcess {
    this.process = new TestProcess(`proxy ${this.name}`, process.execPath, [cliPath, "proxy", ...this.args], this.#env);
    return this.process;
  }

  get agent(): string {
    return `unix:${this.dir}/s/agent.sock`;
  }

  get outbound(): string {
    return `unix:${this.dir}/s/out.sock`;
  }
}

export class TestMesh {
  readonly dir: string;
  readonly name: string;
  readonly #flags: readonly string[];
  readonly #env: Record<string, string>;
  up: TestProcess;
  readonly #children: TestProcess[] = [];
  readonly #proxies: TestProxy[] = [];
  #cli: CliHost | undefined;

  private constructor(dir: string, name: string, flags: readonly string[], env: Record<string, string>) {
    this.dir = dir;
    this.name = name;
    this.#flags = flags;
    this.#env = env;
    this.up = this.startUp();
  }

  /** Starts `ashlar up` with further flags, for example those of one more control plane. */
  static async start(name = "test", flags: readonly string[] = [], clockFile?: string): Promise<TestMesh> {
    const mesh = new TestMesh(mkdtempSync(join(tmpdir(), "ash-")), name, flags, clockFrom(clockFile));
    await mesh.up.said("ready", startMs).catch(async (error: unknown) => {
      await mesh.stop(); // otherwise it would keep the test runner alive
      throw error;
    });
    return mesh;
  }

  get data(): string {
    return join(this.dir, "up");
  }

  /** Starts the control plane. `joinListen` is for one whose folder does not know the port of before. */
  startUp(joinListen = "127.0.0.1:0"): TestProcess {
    const args = [
      cliPath,
      "up",
      "--data",
      this.data,
      "--mesh",
      this.name,
      "--listen",
      "127.0.0.1:0",
      // not the usual port, which another mesh may take while this one is down: proxies know this one by it
      "--join-listen",
      joinListen,
      ...this.#flags,
    ];
    this.up = new TestProcess("up", process.execPath, args, this.#env);
    return this.up;
  }

  /** Runs a command of the CLI against this mesh, in one process with all others of this mesh. */
  cli(...args: string[]): Promise<Finished> {
    this.#cli ??= new CliHost();
    return this.#cli.run(args, join(this.data, "admin.json"));
  }

  /** Runs a CLI command against this mesh in a process of its own, as people do. It takes half a second of CPU. */
  cliProcess(...args: string[]): Promise<Finished> {
    return run(process.execPath, [cliPath, ...args], { env: { ASHLAR_CONTEXT: join(this.data, "admin.json") } });
  }

  /** Runs a command with `-o json` and returns what it printed; fails unless the exit code is `code`. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes, asserted by the tests
  async json(code: number, ...args: string[]): Promise<any> {
    const done = await this.cli(...args, "-o", "json");
    if (done.code !== code)
      throw new Error(`ashlar ${args.join(" ")}: exit ${done.code}\n${done.stdout}\n${done.stderr}`);
    return JSON.parse(done.stdout);
  }

  /** Asks the control plane like the CLI, but from this process: for questions that are repeated often. */
  async ask<Answer>(question: (admin: AdminClient) => Promise<Answer>): Promise<Answer> {
    const admin = openAdminClient(readContext(join(this.data, "admin.json")));
    return question(admin).finally(() => admin.close());
  }

  /** Writes a policy file and returns its path. */
  policy(name: string, content: string): string {
    const path = join(this.dir, name);
    writeFileSync(path, content);
    return path;
  }

  async apply(content: string, ...flags: string[]): Promise<{ revision: number; epoch: number; created: boolean }> {
    return this.json(0, "apply", "-f", this.policy("policy.yaml", content), "--wait", ...flags);
  }

  async token(service: string, ...flags: string[]): Promise<string> {
    const done = await this.cli("token", "--service", service, ...flags);
    if (done.code !== 0) throw new Error(done.stderr);
    return done.stdout.trim();
  }

  async proxy(options: ProxyOptions): Promise<TestProxy> {
    const dir = join(this.dir, options.name);
    mkdirSync(join(dir, "s"), { recursive: true, mode: 0o700 });
    const { service, version = "v1" } = options;
    const asked = { service, version, ttlMs: 600_000, uses: 1, controlPlane: "" };
    const { token } = await this.ask((admin) => admin.createJoinToken(asked));
    writeFileSync(join(dir, "token"), token);
    const args = [
      ...["--service", service, "--token", join(dir, "token"), "--join", join(this.data, "join.json")],
      ...["--inbound", "127.0.0.1:0", "--data", join(dir, "data"), "--agent", `unix:${dir}/s/agent.sock`],
      ...["--outbound", `unix:${dir}/s/out.sock`, ...(options.flags ?? [])],
    ];
    const proxy = new TestProxy(options.name, dir, args, clockFrom(options.clockFile));
    this.#proxies.push(proxy);
    await proxy.process.said("ready", startMs);
    return proxy;
  }

  /** Starts an application that joins through this repository's SDK. */
  async app(proxy: TestProxy, service: string, version = "v1", ...flags: readonly string[]): Promise<TestProcess> {
    const args = [
      "test/support/echo-app.mjs",
      "--version",
      version,
      "--agent",
      proxy.agent,
      "--service",
      service,
      ...flags,
    ];
    return this.child(`app ${proxy.name}`, process.execPath, args);
  }

  /** Starts a process that prints "ready" when it is ready. */
  async child(name: string, command: string, args: readonly string[]): Promise<TestProcess> {
    const child = new TestProcess(name, command, args);
    this.#children.push(child);
    await child.said("ready", startMs);
    return child;
  }

  /** Waits until `service` has exactly `expected` healthy endpoints. */
  async healthy(service: string, expected: number, timeoutMs = 20_000): Promise<void> {
    let last = "";
    const count = async (admin: AdminClient): Promise<number | undefined> => {
      const services = await admin
        .listServices({})
        .then(({ services: all }) => all)
        .catch((error) => {
          last = String(error);
        });
      if (services === undefined) return undefined;
      last = JSON.stringify(services);
      const endpoints = services.find(({ name }) => name === service)?.endpoints ?? [];
      return endpoints.filter((endpoint) => endpoint.healthy).length;
    };
    await this.ask((admin) =>
      until(
        `${service} has ${expected} healthy endpoints`,
        async () => (await count(admin)) === expected,
        timeoutMs,
        () => last,
      ),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await Promise.all(this.#proxies.map((proxy) => proxy.process.stop()));
    await Promise.all([this.up.stop(), this.#cli?.stop()]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  ready(): { admin: string; join: string; nats: string; pid: number } {
    return JSON.parse(readFileSync(join(this.data, "ready.json"), "utf8"));
  }
}

export { repository };

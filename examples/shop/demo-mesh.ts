/** The processes of the demo: a control plane, proxies and services. Each is stopped by its own process id. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { shopFolder } from "./shop.js";

export const root = join(shopFolder, "../..");
const command = join(root, "dist/cli/main.js");
const startMs = 60_000;
const stopMs = 15_000;

export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

interface DemoProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logPath: string;
  readonly ended: Promise<void>;
}

/** A service and the proxy beside it. Without an application the proxy carries outbound calls only. */
export interface Member {
  readonly name: string;
  readonly service: string;
  readonly version: string;
  /** The file of the application under examples/, without its extension. */
  readonly application?: string;
  /** Further environment variables of the application. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A command that runs until it is told to stop. */
export interface RunningCommand {
  /** Resolves once the command has printed this text. */
  said(text: string): Promise<void>;
  /** Sends SIGTERM. Returns the exit code and everything that the command printed. */
  stop(): Promise<{ readonly code: number; readonly text: string }>;
}

export class DemoMesh {
  /** The folder for data and logs. */
  readonly folder: string;
  /** The folder for sockets, with a short path, because the path of a Unix socket has at most 107 bytes. */
  readonly sockets: string;
  readonly #processes: DemoProcess[] = [];
  #stopping: Promise<void> | undefined;

  constructor() {
    const parent = join(root, ".ashlar");
    mkdirSync(parent, { recursive: true });
    this.folder = mkdtempSync(join(parent, "demo-"));
    this.sockets = mkdtempSync(join(tmpdir(), "ashlar-"));
    mkdirSync(join(this.folder, "logs"));
  }

  get contextPath(): string {
    return join(this.folder, "up", "admin.json");
  }

  agentOf(member: string): string {
    return `unix:${join(this.sockets, member, "agent.sock")}`;
  }

  /** Starts NATS and a control plane, and waits until it serves. */
  async startControlPlane(): Promise<void> {
    const data = join(this.folder, "up");
    // plain HTTP, because a browser would warn of the mesh's certificate; like everything here, the console is on
    // loopback
    const console = ["--console", "127.0.0.1:0", "--console-plain"];
    const up = this.#start("up", [command, "up", "--data", data, "--mesh", "shop", ...console]);
    await this.#until("the control plane is ready", up, () => existsSync(join(data, "ready.json")));
  }

  /** Mints a token, starts the proxy, and the application with the proxy's agent socket. */
  async startMember(member: Member): Promise<void> {
    await this.startProxy(member);
    await this.startApplication(member);
  }

  /** Mints a token and starts the proxy alone. A proxy that ran before continues with the identity that it has. */
  async startProxy({ name, service, version }: Member): Promise<void> {
    const sockets = join(this.sockets, name);
    mkdirSync(sockets, { mode: 0o700, recursive: true });
    const agent = join(sockets, "agent.sock");
    rmSync(agent, { force: true }); // the socket may be left from a killed proxy
    const token = await this.ashlar("token", "--service", service, "--version", version);
    if (token.code !== 0) throw new Error(token.error.trim());
    const tokenPath = join(this.folder, `${name}.token`);
    writeFileSync(tokenPath, token.out, { mode: 0o600 });
    const proxy = this.#start(`proxy-${name}`, [
      ...[command, "proxy", "--service", service, "--token", tokenPath, "--data", join(this.folder, `proxy-${name}`)],
      ...["--join", join(this.folder, "up", "join.json"), "--inbound", "127.0.0.1:0", "--agent", this.agentOf(name)],
      ...["--outbound", `unix:${join(sockets, "outbound.sock")}`],
    ]);
    await this.#until(`the proxy of ${name} is ready`, proxy, () => existsSync(agent));
  }

  /** Ends the proxy of a member with SIGKILL, as a crash does. */
  async killProxy(member: string): Promise<void> {
    const proxy = this.#processes.findLast(({ name }) => name === `proxy-${member}`);
    proxy?.child.kill("SIGKILL");
    await proxy?.ended;
  }

  /** Starts a command of the CLI that goes on, as an operator would in another terminal. */
  startCommand(name: string, ...argv: readonly string[]): RunningCommand {
    const running = this.#start(`command-${name}`, [command, ...argv], { ASHLAR_CONTEXT: this.contextPath });
    const text = (): string => readFileSync(running.logPath, "utf8");
    return {
      said: (what) => this.#until(`${name} says: ${what}`, running, () => text().includes(what)),
      async stop() {
        await stopProcess(running);
        return { code: running.child.exitCode ?? -1, text: text() };
      },
    };
  }

  /** Starts the application, if there is one, beside its proxy. */
  async startApplication({ name, application, env = {} }: Member): Promise<void> {
    if (application === undefined) return;
    const script = join(root, "dist/examples", `${application}.js`);
    const app = this.#start(`app-${name}`, [script], { ASHLAR_AGENT: this.agentOf(name), ...env });
    await this.#until(`${name} has joined`, app, () => readFileSync(app.logPath, "utf8").includes("ready"));
  }

  /** Mints a token and starts a gateway with these flags. Returns the address of one of its listeners. */
  async startGateway(name: string, listener: string, flags: readonly string[]): Promise<string> {
    const token = await this.ashlar("token", "--gateway", name);
    if (token.code !== 0) throw new Error(token.error.trim());
    const tokenPath = join(this.folder, `gateway-${name}.token`);
    writeFileSync(tokenPath, token.out, { mode: 0o600 });
    const gateway = this.#start(`proxy-gateway-${name}`, [
      ...[command, "gateway", "--name", name, "--token", tokenPath, "--data", join(this.folder, `gateway-${name}`)],
      ...["--join", join(this.folder, "up", "join.json"), ...flags],
    ]);
    const said = new RegExp(`^ready .*\\b${listener}=(\\S+)`, "m");
    const address = (): string | undefined => said.exec(readFileSync(gateway.logPath, "utf8"))?.[1];
    await this.#until(`the gateway ${name} is ready`, gateway, () => address() !== undefined);
    return address() ?? "";
  }

  /** Sends a signal to the application of a member, as SIGSTOP, after which it hangs. */
  signal(member: string, signal: NodeJS.Signals): void {
    this.#processes.find(({ name }) => name === `app-${member}`)?.child.kill(signal);
  }

  /** Runs a command of the CLI as an operator would. */
  ashlar(...argv: readonly string[]): Promise<Finished> {
    const env = { ...process.env, ASHLAR_CONTEXT: this.contextPath };
    return new Promise((resolve) => {
      execFile(process.execPath, [command, ...argv], { env, cwd: root }, (error, out, text) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, out, error: text });
      });
    });
  }

  /** Runs a command with `-o json`; fails unless it ends with `code`. */
  async ashlarJson<Value>(code: number, ...argv: readonly string[]): Promise<Value> {
    const done = await this.ashlar(...argv, "-o", "json");
    if (done.code === code) return JSON.parse(done.out) as Value;
    throw new Error(`ashlar ${argv.join(" ")} ended with ${done.code}: ${done.error.trim()}`);
  }

  /** Stops everything, applications first, each by its own process id. Harmless when repeated. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Removes data and logs; only once everything is stopped. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #stop(): Promise<void> {
    for (const kind of ["command-", "app-", "proxy-", "up"]) {
      const some = this.#processes.filter(({ name }) => name.startsWith(kind));
      await Promise.all(some.map((one) => stopProcess(one)));
    }
    rmSync(this.sockets, { recursive: true, force: true });
  }

  #start(name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): DemoProcess {
    if (this.#stopping !== undefined) throw new Error("the demo is stopping");
    const logPath = join(this.folder, "logs", `${name}.log`);
    writeFileSync(logPath, "");
    const log = createWriteStream(logPath, { flags: "a" });
    // detached, so that Ctrl-C in a terminal reaches only the demo, which then stops the processes in order
    const stdio = ["ignore", "pipe", "pipe"] as const;
    const child = spawn(process.execPath, argv, {
      env: { ...process.env, XDG_CONFIG_HOME: "/dev/null", ...env },
      detached: true,
      stdio: [...stdio],
    });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    const ended = new Promise<void>((resolve) => {
      child.once("error", () => resolve());
      child.once("close", () => log.end(resolve));
    });
    const started = { name, child, logPath, ended };
    this.#processes.push(started);
    return started;
  }

  async #until(what: string, { child, logPath }: DemoProcess, holds: () => boolean): Promise<void> {
    const endMs = Date.now() + startMs;
    while (!holds()) {
      const lines = () => readFileSync(logPath, "utf8").trim().split("\n").slice(-3).join("\n");
      const log = relative(process.cwd(), logPath);
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`ended before ${what} (${log}):\n${lines()}`);
      if (Date.now() > endMs) throw new Error(`not within ${startMs / 1000} s: ${what} (${log}):\n${lines()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function stopProcess({ child, ended }: DemoProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
  await ended;
  clearTimeout(timer);
}

/** A private nats-server as a child process of `ashlar up`. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import { type Clock, systemClock } from "../../runtime/clock.js";
import { replaceDurably } from "../../runtime/durable-file.js";
import type { Logger } from "../../runtime/log.js";
import type { NatsAccount, NatsAccounts } from "../../runtime/nats-accounts.js";
import { findProcess } from "../../runtime/process-identity.js";
import { type AccountClaims, buildNatsTrust, buildProxiesClaims } from "./account-claims.js";
import { type NatsConfig, renderNatsConfig } from "./nats-config.js";
import { accountOf, type NatsKeys, openNatsKeys } from "./nats-keys.js";
import { choosePort, readServerName } from "./nats-probe.js";
import { findNatsProgram, testConfig } from "./nats-program.js";
import { type RecordedProcess, stopOrphans } from "./orphan.js";
import { RevokedUsers } from "./revoked-users.js";
import { moveStreams } from "./stream-folder.js";

export interface NatsServerOptions {
  /** The folder (mode 0700) for keys, configuration, log and JetStream's files. */
  readonly dir: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: the port of last time if it is free, else any free one. A port that is given must be free. */
  readonly port?: number | undefined;
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Keys shared by the servers of a cluster; default: DIR/keys.json. */
  readonly keys?: NatsKeys;
  /** Lines added to the configuration, such as a cluster section. */
  readonly extraConfig?: string;
  /** The program to spawn; default: the nats-server that is found here. */
  readonly program?: string;
}

export interface NatsServer {
  /** "nats://HOST:PORT", or "tls://" with TLS. */
  readonly url: string;
  readonly port: number;
  readonly accounts: NatsAccounts;
  /** The account whose users may update other accounts while the server runs, and receive connection events. */
  readonly systemAccount: NatsAccount;
  /** The revoked users, from DIR/revoked-users.json. A starting server gets them in its configuration. */
  readonly revoked: RevokedUsers;
  /** Returns the JWT of the proxies' account with the present revocations. */
  proxiesClaims(): Promise<AccountClaims>;
  /** The present process id; undefined while the server is being restarted. */
  readonly pid: number | undefined;
  /** The file that the server itself logs to. */
  readonly logFile: string;
  /** Ends the server, which is then started again as if it had died. */
  restart(): Promise<void>;
  /** Ends the server cleanly, or by force after 10 s. */
  stop(): Promise<void>;
}

const readyMsMax = 20_000;
const stopMsMax = 10_000;

/**
 * Starts a nats-server and keeps it running: if it dies it is started again on the same port, with a growing delay. A
 * server that a killed `up` left behind in this folder is stopped first, so that there are never two on one JetStream
 * folder. Resolves when it accepts connections. Fails with `unavailable` and one line that says what to install or what
 * is in the way.
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const server = new SupervisedServer(options, dir, options.keys ?? (await openNatsKeys(dir)));
  await server.start();
  return server;
}

class SupervisedServer implements NatsServer {
  readonly #options: NatsServerOptions;
  readonly #dir: string;
  readonly #keys: NatsKeys;
  readonly revoked: RevokedUsers;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #config: NatsConfig | undefined;
  #child: ChildProcess | undefined;
  #program = "";
  /**
   * Kills the server when this process ends without `stop` (a second signal, a fault), because nobody else would stop
   * it.
   */
  readonly #endAtExit = (): void => void this.#child?.kill("SIGKILL");
  #supervision: Promise<void> = Promise.resolve();

  constructor(options: NatsServerOptions, dir: string, keys: NatsKeys) {
    this.#options = options;
    this.#dir = dir;
    this.#keys = keys;
    this.#clock = options.clock ?? systemClock;
    this.revoked = new RevokedUsers(join(dir, "revoked-users.json"), this.#clock);
  }

  get url(): string {
    const host = this.#options.host ?? "127.0.0.1";
    return `${this.#options.tls === undefined ? "nats" : "tls"}://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  get systemAccount(): NatsAccount {
    return accountOf(this.#keys.systemAccountSeed);
  }

  proxiesClaims(): Promise<AccountClaims> {
    return buildProxiesClaims(this.#keys, this.revoked.times());
  }

  get port(): number {
    return this.#config?.port ?? 0;
  }

  get accounts(): NatsAccounts {
    const { meshAccountSeed, accountSeed } = this.#keys;
    return { mesh: accountOf(meshAccountSeed), proxies: accountOf(accountSeed) };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get #configFile(): string {
    return join(this.#dir, "nats.conf");
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", port, tls, log, extraConfig = "" } = this.#options;
    const { program, version } = await findNatsProgram(this.#options.program);
    this.#program = program;
    const last = await stopOrphans(this.#dir, this.#configFile, this.#clock, log);
    const trust = await buildNatsTrust(this.#keys, this.revoked.times());
    const storeDir = join(this.#dir, "jetstream");
    await moveStreams(storeDir, this.accounts, log);
    const { logFile } = this;
    await rename(logFile, `${logFile}.old`).catch(() => {});
    const config: NatsConfig = {
      serverName: `ashlar-${randomBytes(8).toString("hex")}`,
      host,
      port: await choosePort(host, port, last?.port),
      storeDir,
      accountsDir: join(this.#dir, "accounts"),
      pidFile: join(this.#dir, "nats.pid"),
      logFile,
      trust,
      tls,
      syncAlways: true,
      extra: extraConfig,
    };
    this.#config = await this.#writeConfig(config);
    process.on("exit", this.#endAtExit);
    log.info("starting NATS", { version, url: this.url, syncAlways: this.#config.syncAlways });
    try {
      await this.#launch();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#supervision = this.#supervise();
  }

  /** Writes the configuration with `sync_interval: always`, or without it if the server refuses that. */
  async #writeConfig(config: NatsConfig): Promise<NatsConfig> {
    for (const syncAlways of [true, false]) {
      const tried = { ...config, syncAlways };
      await replaceDurably(this.#configFile, renderNatsConfig(tried));
      const refused = await testConfig(this.#program, this.#configFile);
      if (refused === undefined) return tried;
      if (!syncAlways) throw new AshlarError("unavailable", `nats-server refuses its configuration: ${refused}`);
    }
    return config;
  }

  async #launch(): Promise<void> {
    const before = this.#config;
    if (before === undefined) throw new AshlarError("internal", "no NATS configuration");
    const config = { ...before, trust: await buildNatsTrust(this.#keys, this.revoked.times()) };
    await replaceDurably(this.#configFile, renderNatsConfig(config)); // with the users that were revoked meanwhile
    // It gets its own process group: Ctrl-C is ours to handle, and NATS ends last. It logs to a file: a pipe would
    // break when `up` is killed, and kill the server.
    const child = spawn(this.#program, ["-c", this.#configFile], { stdio: "ignore", detached: true });
    this.#child = child;
    let ended: string | undefined;
    child.once("error", (error) => {
      ended = messageOf(error);
    });
    child.once("exit", (code, signal) => {
      ended = `it ended with ${signal ?? code}`;
      if (this.#child === child) this.#child = undefined;
    });
    await this.#record(child.pid, config);
    const deadline = this.#clock.monotonicMs() + readyMsMax;
    while (this.#clock.monotonicMs() < deadline && ended === undefined && !this.#stopping.signal.aborted) {
      if ((await readServerName(config.host, config.port)) === config.serverName) return;
      await this.#clock.sleep(20, this.#stopping.signal);
    }
    const why = ended ?? `no answer on port ${config.port} within ${readyMsMax / 1000} s`;
    throw new AshlarError("unavailable", `nats-server did not start: ${why}${await lastLogLine(config.logFile)}`);
  }

  async #record(pid: number | undefined, config: NatsConfig): Promise<void> {
    if (pid === undefined) return;
    const started = (await findProcess(pid))?.started ?? "";
    const record: RecordedProcess = { pid, started, nonce: config.serverName, port: config.port };
    await replaceDurably(join(this.#dir, "process.json"), `${JSON.stringify(record)}\n`);
  }

  async #supervise(): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff({ msMin: 100, msMax: 10_000 });
    const stopped = this.#stopping.signal;
    while (!stopped.aborted) {
      await this.#exited(this.#child);
      if (stopped.aborted) return;
      log.error("NATS ended: starting it again", { log: this.#config?.logFile });
      await this.#clock.sleep(backoff.nextMs(), stopped);
      if (stopped.aborted) return;
      try {
        await this.#launch();
        log.info("NATS is running again", { pid: this.pid });
      } catch (error) {
        log.error("NATS could not be started again", { error: messageOf(error) });
        await this.#end();
      }
    }
  }

  async #exited(child: ChildProcess | undefined): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((done) => {
      child.once("exit", () => done());
      onAbort(this.#stopping.signal, done);
    });
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGTERM");
    const late = new AbortController();
    await Promise.race([exited, this.#clock.sleep(stopMsMax, late.signal).then(() => child.kill("SIGKILL"))]);
    await exited;
    late.abort();
  }

  get logFile(): string {
    return join(this.#dir, "nats.log");
  }

  restart(): Promise<void> {
    return this.#end();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#end();
    await this.#supervision;
    await this.#end(); // a server that the supervisor was just starting
    process.off("exit", this.#endAtExit);
    await rm(join(this.#dir, "nats.pid"), { force: true });
  }
}

async function lastLogLine(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  const line = text
    .trimEnd()
    .split("\n")
    .findLast((item) => /\[(FTL|ERR)\]/.test(item));
  return line === undefined ? "" : ` (${line.replace(/^.*\[(FTL|ERR)\] /, "")})`;
}

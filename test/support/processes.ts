/** Child processes of a test: started, waited for, and stopped by their own process id. */
import { type ChildProcess, spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { until } from "./until.js";

export const repository = resolve(import.meta.dirname, "../..");
export const cliPath = join(repository, "dist/cli/main.js");

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly exited: Promise<number>;
  stdout = "";
  stderr = "";
  #running = true;

  constructor(name: string, command: string, args: readonly string[], env: Record<string, string> = {}) {
    this.name = name;
    this.child = spawn(command, args, {
      cwd: repository,
      // no test makes its mesh the default one of whoever runs it
      env: { ...process.env, XDG_CONFIG_HOME: "/dev/null", ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.child.stdin?.on("error", () => {});
    this.exited = new Promise((done) => {
      this.child.on("error", (error) => {
        this.stderr += String(error);
      });
      this.child.on("close", (code, signal) => {
        this.#running = false;
        done(code ?? (signal === null ? 1 : 128));
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Waits until stdout contains `text`. Fails with the process's output if the process ends or the time is up. */
  async said(text: string, timeoutMs = 30_000): Promise<void> {
    await until(
      `${this.name} prints ${JSON.stringify(text)}`,
      () => {
        if (this.stdout.includes(text)) return true;
        if (!this.#running) throw new Error(`${this.name} ended: ${this.stderr.slice(-2000)}`);
        return false;
      },
      timeoutMs,
      () => this.stderr.slice(-2000),
    );
  }

  async stop(signal: NodeJS.Signals = "SIGTERM", timeoutMs = 20_000): Promise<number> {
    if (!this.#running) return this.exited;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeoutMs);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }
}

export type LogLine = Readonly<Record<string, unknown>>;

/** The lines of a process's log in JSON that have come whole: the last one may still be on its way. */
export function logLines({ stderr }: TestProcess): readonly LogLine[] {
  const whole = stderr.slice(0, stderr.lastIndexOf("\n") + 1).split("\n");
  return whole.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as LogLine);
}

/** Runs a command to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string } = {},
): Promise<Finished> {
  const child = new TestProcess(args.join(" "), command, args, options.env);
  child.child.stdin?.end(options.input ?? "");
  const code = await child.exited;
  return { code, stdout: child.stdout, stderr: child.stderr };
}

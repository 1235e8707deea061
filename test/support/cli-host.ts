/** Runs many command lines of the built CLI in one process; see run-commands.mjs. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { type Finished, repository } from "./processes.js";

interface Answer extends Finished {
  readonly id: number;
}

/** Runs commands at the same time. Tests about a command's own process (signals, stdin) need `run`. */
export class CliHost {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { done(answer: Finished): void; fail(error: Error): void }>();
  #asked = 0;
  #stderr = "";
  #ended = false;

  constructor() {
    this.#child = fork(join(repository, "test/support/run-commands.mjs"), {
      cwd: repository,
      env: { ...process.env, XDG_CONFIG_HOME: "/dev/null" },
      execArgv: [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.#child.on("message", (message) => {
      const { id, ...finished } = message as Answer;
      this.#waiting.get(id)?.done(finished);
      this.#waiting.delete(id);
    });
    this.#child.on("error", (error) => {
      this.#stderr += String(error);
    });
    this.#child.on("exit", () => {
      this.#ended = true;
      for (const { fail } of this.#waiting.values()) fail(new Error(`the CLI ended:\n${this.#stderr}`));
      this.#waiting.clear();
    });
  }

  /** Runs one command line with this context. Resolves with what a separate process would have printed. */
  run(words: readonly string[], contextPath: string): Promise<Finished> {
    const id = this.#asked++;
    return new Promise((done, fail) => {
      if (this.#ended) return fail(new Error(`the CLI has ended:\n${this.#stderr}`));
      this.#waiting.set(id, { done, fail });
      this.#child.send({ id, words, contextPath });
    });
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.disconnect();
    await exited;
  }
}

/** Judges the caller of an open call again and again: its certificate may expire or be revoked during the call. */
export class CallerWatch {
  readonly #call: AbortController;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #refusal: { readonly error: unknown } | undefined;
  #refuse: (error: unknown) => void = () => {};
  /** Rejects with the reason when the caller is refused; never resolves. */
  readonly refused: Promise<never>;

  /** `call` is aborted when its caller is refused. `everyMs`: milliseconds between two judgements. */
  constructor(call: AbortController, everyMs: number) {
    this.#call = call;
    this.#everyMs = everyMs;
    this.refused = new Promise((_resolve, reject) => {
      this.#refuse = reject;
    });
    this.refused.catch(() => {}); // avoids an unhandled rejection; a later reader still gets the reason
  }

  /** Begins to judge. `verify` must throw if the caller may no longer call. */
  begin(verify: () => void): void {
    this.#timer = setInterval(() => this.#judge(verify), this.#everyMs).unref();
  }

  #judge(verify: () => void): void {
    try {
      verify();
    } catch (error) {
      this.end();
      this.#refusal = { error };
      this.#refuse(error);
      this.#call.abort();
    }
  }

  throwIfRefused(): void {
    if (this.#refusal !== undefined) throw this.#refusal.error;
  }

  /** Ends the watch, because the call has ended. */
  end(): void {
    clearInterval(this.#timer);
  }
}

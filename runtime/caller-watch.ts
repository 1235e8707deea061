/** Judges the caller of an open call again: its certificate may end, or be revoked, while the call lasts. */
export class CallerWatch {
  readonly #call: AbortController;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #refusal: { readonly error: unknown } | undefined;
  #refuse: (error: unknown) => void = () => {};
  /** Rejects with the reason when the caller is refused; never resolves. */
  readonly refused: Promise<never>;

  /** `call` is aborted when its caller is refused. */
  constructor(call: AbortController, everyMs: number) {
    this.#call = call;
    this.#everyMs = everyMs;
    this.refused = new Promise((_resolve, reject) => {
      this.#refuse = reject;
    });
    this.refused.catch(() => {}); // whoever looks at it later still hears of it
  }

  /** `verify` fails if the caller may no longer call. */
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

  /** The call is over. */
  end(): void {
    clearInterval(this.#timer);
  }
}

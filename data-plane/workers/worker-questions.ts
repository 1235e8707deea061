/** A worker's questions to the first process that wait for an answer. */
import { AshlarError } from "../../core/errors.js";
import { type Answered, errorOf, type Question, questionsMax } from "./messages.js";

interface Open {
  readonly resolve: (value: boolean) => void;
  readonly reject: (error: AshlarError) => void;
}

export class WorkerQuestions {
  readonly #send: (question: number, what: Question) => void;
  readonly #open = new Map<number, Open>();
  #last = 0;

  constructor(send: (question: number, what: Question) => void) {
    this.#send = send;
  }

  /** Fails as the first process did, or with `limit` if too many questions are open. */
  ask(what: Question): Promise<boolean> {
    if (this.#open.size >= questionsMax)
      return Promise.reject(new AshlarError("limit", `more than ${questionsMax} questions are open`));
    return new Promise((resolve, reject) => {
      this.#last += 1;
      this.#open.set(this.#last, { resolve, reject });
      this.#send(this.#last, what);
    });
  }

  answer(question: number, answer: Answered): void {
    const open = this.#open.get(question);
    this.#open.delete(question);
    if (answer.ok) open?.resolve(answer.value);
    else open?.reject(errorOf(answer));
  }
}

/** A worker's questions to the first process that wait for an answer. */
import { AshlarError } from "../../core/errors.js";
import type { JournalAnswer, JournalQuestion } from "./journal-questions.js";
import { type Answered, errorOf, type Question, questionsMax } from "./messages.js";

interface Open {
  readonly resolve: (value: boolean | JournalAnswer) => void;
  readonly reject: (error: AshlarError) => void;
}

export class WorkerQuestions {
  readonly #send: (question: number, what: Question) => void;
  readonly #open = new Map<number, Open>();
  #last = 0;

  constructor(send: (question: number, what: Question) => void) {
    this.#send = send;
  }

  /** Asks a question. Fails as the first process did, or with `limit` if too many questions are open. */
  async ask(what: Question): Promise<boolean> {
    return (await this.#ask(what)) === true;
  }

  /** Asks a question about the journal. Fails like `ask`. */
  async askJournal(what: JournalQuestion): Promise<JournalAnswer> {
    const answer = await this.#ask(what);
    if (typeof answer === "boolean") throw new AshlarError("internal", "a question about the journal had no answer");
    return answer;
  }

  #ask(what: Question): Promise<boolean | JournalAnswer> {
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

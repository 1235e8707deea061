/** The two data models of the ledger: v1 keeps a balance for each account, v2 every posting. */
import type { Account, Posting, Receipt, TransferRequest } from "./protocol.js";

/** A transfer with its sequence in the journal, which the proxy tells the application. */
export interface Booking extends TransferRequest {
  readonly sequence: number;
}

/** The most that one account may pay in all, in cents. */
const paidMax = 1_000_000;

/** What both data models can do. The caller books each sequence once, and the sequences of one payer in order. */
export interface Books {
  /** Books a transfer; undefined: the payer would have paid too much. */
  book(booking: Booking): Receipt | undefined;
  account(name: string): BookedAccount;
}

/** What the books say about an account. */
export type BookedAccount = Omit<Account, "version" | "registered">;

interface Balance {
  cents: number;
  sequence: number;
  number: number;
  paid: number;
}

/** v1: keeps the balance of each account, and no history. */
export class Balances implements Books {
  readonly #balances = new Map<string, Balance>();

  book({ sequence, from, to, cents }: Booking): Receipt | undefined {
    const payer = this.#of(from);
    if (payer.paid + cents > paidMax) return undefined;
    payer.cents -= cents;
    payer.paid += cents;
    payer.number += 1;
    payer.sequence = sequence;
    this.#of(to).cents += cents;
    return { number: payer.number, paid_cents: payer.paid };
  }

  account(name: string): BookedAccount {
    const { cents, sequence } = this.#of(name);
    return { name, cents, sequence, postings: [] };
  }

  #of(name: string): Balance {
    const found = this.#balances.get(name) ?? { cents: 0, sequence: 0, number: 0, paid: 0 };
    this.#balances.set(name, found);
    return found;
  }
}

/** v2: double entry; everything else is computed from the postings. */
export class Postings implements Books {
  readonly #accounts = new Map<string, Posting[]>();

  book({ sequence, from, to, cents }: Booking): Receipt | undefined {
    const payer = this.#of(from);
    const paid = sum(payer.filter((each) => each.cents < 0));
    if (cents - paid > paidMax) return undefined;
    payer.push({ sequence, cents: -cents, other: to });
    this.#of(to).push({ sequence, cents, other: from });
    const own = payer.filter((each) => each.cents < 0);
    return { number: own.length, paid_cents: -sum(own) };
  }

  account(name: string): BookedAccount {
    const postings = this.#of(name);
    const last = postings.findLast((each) => each.cents < 0);
    return { name, cents: sum(postings), sequence: last?.sequence ?? 0, postings };
  }

  #of(name: string): Posting[] {
    const found = this.#accounts.get(name) ?? [];
    this.#accounts.set(name, found);
    return found;
  }
}

const sum = (postings: readonly Posting[]): number => postings.reduce((all, { cents }) => all + cents, 0);

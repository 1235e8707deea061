/**
 * A reader's place in a log whose records each name the previous one (activations, trust). Pure. The chain is walked
 * link by link and never back (I2). Two valid records with one key are equivocation: both are kept as heads, neither is
 * followed, and a higher record whose `previous` names either of them resolves it.
 */
import type { Digest } from "../../core/digest.js";
import type { Signed } from "../../core/model.js";

/** How records of a log are linked. `previous` is undefined for the first record. */
export interface ChainLaw<Body> {
  keyOf(body: Body): number;
  mayFollow(head: Signed<Body> | undefined, next: Signed<Body>): boolean;
}

export interface Chain<Body> {
  /** The valid records with the highest key reached: none, one, or several after equivocation. */
  readonly heads: readonly Signed<Body>[];
  /** Valid later records whose link to the heads is not known yet, the lowest key first. */
  readonly waiting: readonly Signed<Body>[];
}

export interface KeyRange {
  readonly from: number;
  readonly to: number;
}

const headsMax = 4;
const waitingMax = 64;
const rangeMax = 32;

export const emptyChain: Chain<never> = { heads: [], waiting: [] };

/** Returns the highest key reached. 0: no record was read. */
export function keyOfChain<Body>(chain: Chain<Body>, law: ChainLaw<Body>): number {
  const [head] = chain.heads;
  return head === undefined ? 0 : law.keyOf(head.body);
}

/** Returns the record to follow, which is the only head. undefined: there is none, or more than one. */
export function headOf<Body>(chain: Chain<Body>): Signed<Body> | undefined {
  return chain.heads.length === 1 ? chain.heads[0] : undefined;
}

/** Starts a chain at given records: the head received at join, or the floor on disk. */
export function startChain<Body>(base: readonly Signed<Body>[]): Chain<Body> {
  return { heads: base.slice(0, headsMax), waiting: [] };
}

/**
 * Takes a record whose signature is valid. Returns the new chain, and the records that became head on the way, in
 * order. A record that is older, known, or cannot be linked yet changes no head.
 */
export function offer<Body>(
  chain: Chain<Body>,
  record: Signed<Body>,
  law: ChainLaw<Body>,
): { readonly chain: Chain<Body>; readonly adopted: readonly Signed<Body>[] } {
  const adopted: Signed<Body>[] = [];
  let after = chain;
  for (let next: Signed<Body> | undefined = record; next !== undefined; ) {
    const offered: Offered<Body> = offerOne(after, next, law);
    if (offered.adopted !== undefined) adopted.push(offered.adopted);
    const { heads, waiting } = offered.chain;
    next = waiting.find((one) => isReachable(offered.chain, one, law));
    after = { heads, waiting: waiting.filter((one) => one !== next) };
  }
  const key = keyOfChain(after, law);
  return {
    chain: { heads: after.heads, waiting: after.waiting.filter((one) => law.keyOf(one.body) > key) },
    adopted,
  };
}

/** Returns the range that must be read from the log to link the waiting records, or undefined if there is none. */
export function missingFrom<Body>(chain: Chain<Body>, law: ChainLaw<Body>): KeyRange | undefined {
  const [next] = chain.waiting;
  if (next === undefined) return undefined;
  const reached = keyOfChain(chain, law);
  const ahead = law.keyOf(next.body);
  if (ahead > reached + 1) return { from: reached + 1, to: Math.min(ahead - 1, reached + rangeMax) };
  return { from: reached, to: reached }; // the record names a head that is not known, so the rival record is read
}

/** Drops the next waiting records if they name no head although the log was read at `key`: they jump over the chain. */
export function refuseUnlinked<Body>(
  chain: Chain<Body>,
  key: number,
  law: ChainLaw<Body>,
): { readonly chain: Chain<Body>; readonly refused: readonly Signed<Body>[] } {
  if (key !== keyOfChain(chain, law)) return { chain, refused: [] };
  const refused = chain.waiting.filter((record) => law.keyOf(record.body) === key + 1);
  if (refused.length === 0) return { chain, refused };
  return { chain: { heads: chain.heads, waiting: chain.waiting.filter((one) => !refused.includes(one)) }, refused };
}

/** Returns the digests of all heads, in an order that does not depend on their arrival. */
export function headDigests<Body>(chain: Chain<Body>): readonly Digest[] {
  return chain.heads.map((head) => head.digest).sort();
}

function isReachable<Body>(chain: Chain<Body>, record: Signed<Body>, law: ChainLaw<Body>): boolean {
  return law.keyOf(record.body) === keyOfChain(chain, law) || follows(chain, record, law);
}

function follows<Body>(chain: Chain<Body>, record: Signed<Body>, law: ChainLaw<Body>): boolean {
  if (chain.heads.length === 0) return law.mayFollow(undefined, record);
  return chain.heads.some((head) => law.mayFollow(head, record));
}

interface Offered<Body> {
  readonly chain: Chain<Body>;
  readonly adopted: Signed<Body> | undefined;
}

function offerOne<Body>(chain: Chain<Body>, record: Signed<Body>, law: ChainLaw<Body>): Offered<Body> {
  const unchanged = { chain, adopted: undefined };
  const key = law.keyOf(record.body);
  const reached = keyOfChain(chain, law);
  if (follows(chain, record, law)) return { chain: { heads: [record], waiting: chain.waiting }, adopted: record };
  if (key < reached || key < 1) return unchanged;
  if (key === reached) {
    if (chain.heads.length >= headsMax || chain.heads.some((head) => head.digest === record.digest)) return unchanged;
    return { chain: { heads: [...chain.heads, record], waiting: chain.waiting }, adopted: undefined };
  }
  if (chain.waiting.some((waiting) => waiting.digest === record.digest)) return unchanged;
  const waiting = [...chain.waiting, record].sort((a, b) => law.keyOf(a.body) - law.keyOf(b.body));
  return { chain: { heads: chain.heads, waiting: waiting.slice(0, waitingMax) }, adopted: undefined };
}

const lowStart = 0xdeadbeef;
const highStart = 0x41c6ce57;
const lowFactor = 2_654_435_761;
const highFactor = 1_597_334_677;

/**
 * Returns a number above 0 and below 1 that depends on the text alone: equal in every process, version and machine, and
 * uniform. It is no secret: everyone who knows the text can compute it.
 */
export function stableFraction(text: string): number {
  const { low, high } = stateOf(text);
  return fractionOf(low, high);
}

/** Returns `stableFraction` of the three texts joined by newlines, without building the joined text. */
export function stableFractionOf(first: string, second: string, third: string): number {
  const salt = saltOf(first, second);
  const fractions = fractionsOf([salt], third);
  return fractions[0] as number;
}

/** What two texts, each with a newline after it, contribute to the hash of a text that begins with them. */
export interface Salt {
  readonly low: number;
  readonly high: number;
}

export function saltOf(first: string, second: string): Salt {
  return stateOf(`${first}\n${second}\n`);
}

function stateOf(text: string): Salt {
  let [low, high] = [lowStart, highStart];
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, lowFactor);
    high = Math.imul(high ^ unit, highFactor);
  }
  return { low, high };
}

let fractions = new Float64Array(8);

/**
 * Returns, for each salt, `stableFraction` of the salt's texts and `text`, joined by newlines. It returns the same array
 * each time. Two salts at a time, because the processor multiplies for both at once.
 */
export function fractionsOf(salts: readonly Salt[], text: string): Float64Array {
  const { length } = text;
  if (salts.length > fractions.length) fractions = new Float64Array(2 * salts.length);
  for (let place = 0; place < salts.length; place += 2) {
    const one = salts[place] as Salt;
    const other = salts[place + 1] ?? one;
    let { low: lowA, high: highA } = one;
    let { low: lowB, high: highB } = other;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      lowA = Math.imul(lowA ^ unit, lowFactor);
      highA = Math.imul(highA ^ unit, highFactor);
      lowB = Math.imul(lowB ^ unit, lowFactor);
      highB = Math.imul(highB ^ unit, highFactor);
    }
    fractions[place] = fractionOf(lowA, highA);
    if (place + 1 < salts.length) fractions[place + 1] = fractionOf(lowB, highB);
  }
  return fractions;
}

function fractionOf(lowBefore: number, highBefore: number): number {
  let [low, high] = [lowBefore, highBefore];
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  // 21 and 32 bits are the 53 bits that a double holds; the added half keeps the number off both ends
  return ((high >>> 11) * 4_294_967_296 + (low >>> 0) + 0.5) / 9_007_199_254_740_992;
}

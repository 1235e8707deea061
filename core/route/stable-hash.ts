const lowStart = 0xdeadbeef;
const highStart = 0x41c6ce57;
const lowFactor = 2_654_435_761;
const highFactor = 1_597_334_677;
const newline = 10;

/**
 * Returns a number above 0 and below 1 that depends on the text alone: equal in every process, version and machine, and
 * uniform. It is no secret: everyone who knows the text can compute it.
 */
export function stableFraction(text: string): number {
  let low = lowStart;
  let high = highStart;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, lowFactor);
    high = Math.imul(high ^ unit, highFactor);
  }
  return fractionOf(low, high);
}

/** Returns `stableFraction` of the three texts joined by newlines, without building the joined text. */
export function stableFractionOf(first: string, second: string, third: string): number {
  let low = lowStart;
  let high = highStart;
  for (let part = 0; part < 3; part++) {
    const text = part === 0 ? first : part === 1 ? second : third;
    if (part > 0) {
      low = Math.imul(low ^ newline, lowFactor);
      high = Math.imul(high ^ newline, highFactor);
    }
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      low = Math.imul(low ^ unit, lowFactor);
      high = Math.imul(high ^ unit, highFactor);
    }
  }
  return fractionOf(low, high);
}

function fractionOf(lowBefore: number, highBefore: number): number {
  let [low, high] = [lowBefore, highBefore];
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  // 21 and 32 bits are the 53 bits that a double holds; the added half keeps the number off both ends
  return ((high >>> 11) * 4_294_967_296 + (low >>> 0) + 0.5) / 9_007_199_254_740_992;
}

/**
 * A number above 0 and below 1 that depends on the text alone: the same in every process, version and machine. Evenly
 * spread, and not for secrets: who knows the text can tell the number.
 */
export function stableFraction(text: string): number {
  let [low, high] = [0xdeadbeef, 0x41c6ce57];
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 2_654_435_761);
    high = Math.imul(high ^ unit, 1_597_334_677);
  }
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  // 21 and 32 bits make 53, all that a double holds; one half keeps the number off both ends
  return ((high >>> 11) * 4_294_967_296 + (low >>> 0) + 0.5) / 9_007_199_254_740_992;
}

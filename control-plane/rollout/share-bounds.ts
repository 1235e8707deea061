/**
 * Bounds of a share after a number of samples: Wilson's score interval at about 95 % (two standard deviations), which
 * stays sensible for few samples and for shares near 0 or 1. Pure.
 */
const deviations = 2;

/** Returns the lower bound of the share; 0 without samples. */
export function lowerShare(hits: number, samples: number): number {
  return samples <= 0 ? 0 : Math.max(0, middle(hits, samples) - margin(hits, samples));
}

/** The most that the share is likely to be; 1 without samples. */
export function upperShare(hits: number, samples: number): number {
  return samples <= 0 ? 1 : Math.min(1, middle(hits, samples) + margin(hits, samples));
}

const squared = deviations * deviations;

function middle(hits: number, samples: number): number {
  return (hits / samples + squared / (2 * samples)) / (1 + squared / samples);
}

function margin(hits: number, samples: number): number {
  const share = hits / samples;
  const variance = (share * (1 - share)) / samples + squared / (4 * samples * samples);
  return (deviations * Math.sqrt(variance)) / (1 + squared / samples);
}

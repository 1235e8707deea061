/** Computes how much of a disk the journals of a private NATS may take. Pure. */

const mebibyte = 1024 * 1024;
/** The least bytes that a journal may keep, however small the disk is. */
export const journalBytesMin = 4 * mebibyte;
/** A stream's files take up to this factor times the bytes of its messages, while blocks are rewritten. */
const overhead = 1.25;
/** The share for journals of what the reserve of the logs leaves free; the rest is for other bounded streams. */
const share = 1 / 2;
const reserveBytes = { min: 16 * mebibyte, max: 1024 * mebibyte, share: 1 / 10 };
/**
 * nats-server 2.9 drops the oldest messages of a stream whose bound becomes lower than what it holds, and a journal may
 * grow while its bound is changed. So a bound is lowered at most to this many bytes above what the journal held.
 */
const marginBytes = 256 * mebibyte;
/** A bound is changed if it is off by at least this share. */
const changeShare = 1 / 5;

export interface JournalUse {
  readonly service: string;
  readonly storedBytes: number;
  /** The present bound; 0: the journal does not exist yet. */
  readonly boundBytes: number;
}

/**
 * Returns the bytes that each journal may keep, by service: equal shares of the room, at most `wantedBytes`, and never
 * less than it holds.
 */
export function fitJournals(
  freeBytes: number,
  journals: readonly JournalUse[],
  wantedBytes: number,
): ReadonlyMap<string, number> {
  const held = journals.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  const whole = Math.max(0, freeBytes) + held;
  const reserve = Math.min(reserveBytes.max, Math.max(reserveBytes.min, whole * reserveBytes.share));
  const room = (Math.max(0, whole - reserve) / overhead) * share;
  const each = room / Math.max(1, journals.length);
  const fit = ({ service, storedBytes, boundBytes }: JournalUse): readonly [string, number] => {
    const fitting = Math.max(journalBytesMin, Math.min(wantedBytes, Math.max(each, storedBytes)));
    if (boundBytes === 0 || fitting >= boundBytes) return [service, round(fitting)];
    return [service, Math.min(boundBytes, round(Math.max(fitting, storedBytes + marginBytes)))];
  };
  return new Map(journals.map(fit));
}

const round = (bytes: number): number => Math.ceil(bytes / mebibyte) * mebibyte;

/** Returns the bytes that journals may still take of the disk. */
export function promisedBytes(journals: readonly JournalUse[]): number {
  return (
    journals.reduce((sum, { boundBytes, storedBytes }) => sum + Math.max(0, boundBytes - storedBytes), 0) * overhead
  );
}

/** Returns whether a bound is far enough from what fits to be changed. */
export function isJournalOff(boundBytes: number, fitting: number): boolean {
  return Math.abs(boundBytes - fitting) > boundBytes * changeShare;
}

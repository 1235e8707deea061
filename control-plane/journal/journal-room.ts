/** How much of a disk the journals of a private NATS may take. Pure. */

const mebibyte = 1024 * 1024;
/** A journal may keep at least so many bytes, however small the disk is. */
export const journalBytesMin = 4 * mebibyte;
/** A stream's files take up to this times what its messages do, while blocks are rewritten. */
const overhead = 1.25;
/** Journals share this part of what the reserve of the logs leaves free; the rest is for what is bounded beside them. */
const share = 1 / 2;
const reserveBytes = { min: 16 * mebibyte, max: 1024 * mebibyte, share: 1 / 10 };
/**
 * nats-server 2.9 drops the oldest messages of a stream whose bound becomes less than what it holds, and a journal grows
 * while its bound is changed. So a bound is made smaller only as far as this above what the journal held when it was looked at.
 */
const marginBytes = 256 * mebibyte;
/** A bound is changed when it is off by this share. */
const changeShare = 1 / 5;

export interface JournalUse {
  readonly service: string;
  readonly storedBytes: number;
  /** 0: the journal is not there yet. */
  readonly boundBytes: number;
}

/** What a journal may keep, by its service: equal shares of the room, at most `wantedBytes`, and never less than it holds. */
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

/** What journals may still take of the disk. */
export function promisedBytes(journals: readonly JournalUse[]): number {
  return (
    journals.reduce((sum, { boundBytes, storedBytes }) => sum + Math.max(0, boundBytes - storedBytes), 0) * overhead
  );
}

/** Whether a bound is far enough off what fits to be changed. */
export function isJournalOff(boundBytes: number, fitting: number): boolean {
  return Math.abs(boundBytes - fitting) > boundBytes * changeShare;
}

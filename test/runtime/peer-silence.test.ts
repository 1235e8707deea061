/** Whose connection ends because nothing comes, by a clock that is told. */
import { describe, expect, test } from "@jest/globals";
import { LostTime } from "../../runtime/lost-time.js";
import { PeerSilence, type Waited } from "../../runtime/peer-silence.js";

class Peer implements Waited {
  bytesRead = 0;
  ends = 0;
  destroy(): void {
    this.ends += 1;
  }
}

const limits = { handshakeMsMax: 10_000, silentMsMax: 90_000 };

describe("PeerSilence", () => {
  test("a handshake that takes longer than its time ends, the others go on", () => {
    const silence = new PeerSilence(limits);
    const [slow, quick, later] = [new Peer(), new Peer(), new Peer()];
    silence.begin(slow, 0);
    silence.begin(quick, 0);
    silence.begin(later, 5000);
    silence.shaken(quick, 1000);
    expect(silence.sweep(10_000)).toBe(0);
    expect(silence.sweep(10_001)).toBe(1);
    expect([slow.ends, quick.ends, later.ends]).toEqual([1, 0, 0]);
    expect(silence.sweep(20_000)).toBe(1);
    expect([slow.ends, quick.ends, later.ends]).toEqual([1, 0, 1]);
  });

  test("a peer that sends something is waited for again, one that is silent ends", () => {
    const silence = new PeerSilence(limits);
    const [talks, silent] = [new Peer(), new Peer()];
    for (const peer of [talks, silent]) silence.shaken(peer, 0);
    for (let ms = 1000; ms <= 200_000; ms += 1000) {
      if (ms % 60_000 === 0) talks.bytesRead += 17;
      silence.sweep(ms);
    }
    expect([talks.ends, silent.ends]).toEqual([0, 1]);
  });

  test("without a limit nobody ends for silence, and who has ended is forgotten", () => {
    const silence = new PeerSilence({ ...limits, silentMsMax: undefined });
    const [silent, gone] = [new Peer(), new Peer()];
    silence.shaken(silent, 0);
    silence.begin(gone, 0);
    silence.ended(gone);
    expect(silence.sweep(1_000_000)).toBe(0);
    expect([silent.ends, gone.ends]).toEqual([0, 0]);
  });

  test("the time in which the process was busy counts for nobody", () => {
    const lost = new LostTime(500, 0);
    const silence = new PeerSilence(limits);
    const [shaking, asked] = [new Peer(), new Peer()];
    const sweep = (ms: number): void => {
      lost.turn(ms);
      silence.sweep(ms - lost.totalMs(ms));
    };
    silence.begin(shaking, 0);
    silence.shaken(asked, 0);
    for (let ms = 500; ms <= 1000; ms += 500) sweep(ms);
    sweep(121_000); // it stood still for two minutes
    expect([shaking.ends, asked.ends]).toEqual([0, 0]);
    for (let ms = 121_500; ms <= 132_000; ms += 500) sweep(ms);
    expect([shaking.ends, asked.ends]).toEqual([1, 0]);
  });
});

/** When a log may go on although its stream does not give all of its records. */
import { describe, expect, test } from "@jest/globals";
import { StreamView } from "../../../control-plane/store/stream-view.js";
import { digestOf } from "../../../core/digest.js";

const record = (name: string) => ({ digest: digestOf(Buffer.from(name)) });
const [one, two, three, four] = [record("one"), record("two"), record("three"), record("four")];

/** What the stream gives at each sequence from 1 on. */
function view(...given: readonly ({ digest: typeof one.digest } | undefined)[]): StreamView {
  const made = new StreamView("S");
  for (const [index, item] of given.entries()) {
    if (item === undefined) made.gaveNothing(index + 1);
    else made.gave(item.digest, index + 1);
  }
  return made;
}

describe("a stream that does not give all of its records", () => {
  test("a whole one lacks nothing and has no problem", () => {
    expect(view(one, two).lack([one, two])).toBeUndefined();
    expect(view(one, two).problem([one, two])).toBeUndefined();
  });

  test("a gap at the end stops whoever does not know what was there, and whoever has it until it is put back", () => {
    expect(view(one, undefined).lack([one])).toMatch(/stream S does not give 1 of its records.*nothing is signed/);
    expect(view(one, undefined).lack([one, two])).toMatch(/nothing is signed/);
    expect(view(one, undefined, two).lack([one, two])).toBeUndefined();
    expect(view(one, undefined, two).problem([one, two])).toMatch(/they are in it again/);
  });

  test("fewer put back than are missing is not enough, and what made up for one gap does not for a later one", () => {
    expect(view(one, undefined, undefined, two).lack([one, two])).toMatch(/nothing is signed/);
    expect(view(one, undefined, two, three, four).lack([one, two, three, four])).toBeUndefined();
    expect(view(one, undefined, two, three, undefined).lack([one, two, three])).toMatch(/nothing is signed/);
  });

  test("a gap in the middle stops whoever cannot link what comes behind it", () => {
    expect(view(one, undefined, three).lack([one])).toMatch(/nothing is signed/);
    expect(view(one, undefined, three, two).lack([one, two, three])).toBeUndefined();
  });

  test("records of another log in the same stream count as what was put back", () => {
    const shared = view(one, undefined);
    expect(shared.lack([one])).toMatch(/nothing is signed/);
    shared.gaveOther(two.digest, 3);
    expect(shared.lack([one])).toBeUndefined();
  });

  test("a stream that loses what it acknowledges is no place to sign for, and the remedy says so", () => {
    const made = view(one, undefined);
    made.lostAtOnce(two.digest, 3);
    expect(made.has(two.digest)).toBe(true);
    expect(made.lack([one, two])).toMatch(/delete that stream in NATS/);
  });
});

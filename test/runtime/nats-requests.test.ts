/** Answers and timeouts of requests, with a connection in memory. */
import { expect, test } from "@jest/globals";
import type { NatsConnection } from "nats";
import { NatsRequests } from "../../runtime/nats-requests.js";
import { ManualClock } from "../support/manual-clock.js";

const inbox = "_INBOX_test";

function open() {
  const clock = new ManualClock();
  const replies: string[] = [];
  let hear = (_: null, _message: object): void => {};
  const connection = {
    subscribe(_subject: string, { callback }: { callback: typeof hear }) {
      hear = callback;
    },
    publish(_subject: string, _data: unknown, { reply }: { reply: string }) {
      replies.push(reply);
    },
  };
  const requests = new NatsRequests(connection as unknown as NatsConnection, inbox, { clock, timeoutMs: 1000 });
  const answer = (at: number): void => {
    const message = { subject: replies[at], data: new Uint8Array(), sid: 1, reply: "", headers: undefined };
    hear(null, { ...message, _rdata: new Uint8Array(), _msg: { subject: Buffer.from(replies[at] ?? ""), hdr: 0 } });
  };
  return { clock, requests, answer };
}

/** What became of a request by now. */
function watched(asked: Promise<unknown>): { state: string } {
  const told = { state: "open" };
  asked.then(
    () => (told.state = "answered"),
    (error: { code: string }) => (told.state = error.code),
  );
  return told;
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

test("each request fails once its own time is up, whatever became of those before and after it", async () => {
  const { clock, requests, answer } = open();
  const first = watched(requests.ask("a", ""));
  await clock.advance(400);
  const second = watched(requests.ask("b", ""));
  const third = watched(requests.ask("c", ""));
  answer(2);
  await clock.advance(600);
  await settle();
  expect([first.state, second.state, third.state]).toEqual(["unavailable", "open", "answered"]);
  await clock.advance(400);
  await settle();
  expect(second.state).toBe("unavailable");
  const later = watched(requests.ask("d", ""));
  await clock.advance(999);
  await settle();
  expect(later.state).toBe("open");
  await clock.advance(1);
  await settle();
  expect(later.state).toBe("unavailable");
});

test("a connection that ends fails what waits, at once, and what is asked later has its own time", async () => {
  const { clock, requests } = open();
  const before = watched(requests.ask("a", ""));
  requests.interrupt();
  await settle();
  expect(before.state).toBe("unavailable");
  const after = watched(requests.ask("b", ""));
  await clock.advance(1000);
  await settle();
  expect(after.state).toBe("unavailable");
});

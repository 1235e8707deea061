/** Calls of clients that speak gRPC-Web: which of them are open, and how they end when the gateway stops. */
import { expect, test } from "@jest/globals";
import { Exchange, type WebRequest } from "../../../data-plane/edge/web/exchange.js";
import type { Header } from "../../../data-plane/edge/web/header.js";
import { WebSide, type WebSideDeps } from "../../../data-plane/edge/web/web-side.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { MemoryBudget } from "../../../data-plane/http2/memory-budget.js";
import { PeerSettings } from "../../../data-plane/http2/settings.js";
import type { Stream } from "../../../data-plane/http2/stream.js";
import { type Answer, unavailableAnswer } from "../../../data-plane/proxy/answer.js";
import { Call } from "../../../data-plane/proxy/forward/call.js";

class HeldExchange extends Exchange {
  readonly settings = new PeerSettings();
  waitingBytes = 0;
  status = 0;

  constructor() {
    const headers: readonly Header[] = [["content-type", "application/grpc-web+proto"]];
    const request: WebRequest = {
      ...{ method: "POST", path: "/test.Echo/Unary", query: "", authority: "shop.example", headers, isHttp1: true },
    };
    super(request, {} as never);
  }

  protected writeHead(status: number): void {
    this.status = status;
  }

  send(): void {}
  consumed(): void {}
  abort(): void {}
}

/** A call as it is while a policy, a rate or a limit is waited for: nothing was sent for it. */
class HeldCall extends Call {
  readonly answers: Answer[] = [];
  static of(stream: Stream): HeldCall {
    const call = Object.create(HeldCall.prototype, { answers: { value: [] } }) as HeldCall;
    stream.sink = call;
    return call;
  }
  override answer(answer: Answer): void {
    this.answers.push(answer);
  }
}

function sideOf(open: WebSideDeps["open"]): WebSide {
  return new WebSide({
    budget: new MemoryBudget(),
    limits: () => defaultLimits,
    nowMs: () => 0,
    refused() {},
    open,
    isMeant: () => true,
    listener: { protocols: ["grpc-web"] } as never,
    find: () => "echo",
    hasNoSideEffects: () => false,
    descriptors: undefined,
    ...{ origins: [], ownOrigins: () => [] },
  });
}

const stopping = unavailableAnswer("draining", "the gateway is stopping", 1);

test("a call that still waits to be judged gets the reason when the gateway stops", () => {
  const calls: HeldCall[] = [];
  const side = sideOf((_exchange, _protocol, stream) => void calls.push(HeldCall.of(stream)));
  side.take(new HeldExchange());
  side.take(new HeldExchange());
  side.answerAll(stopping);
  expect(calls.map(({ answers }) => answers)).toEqual([[stopping], [stopping]]);
});

test("what was answered at once, and whose client is gone, is no open call", () => {
  const calls: HeldCall[] = [];
  const refusing = sideOf((exchange) => exchange.refuse(400));
  const refused = new HeldExchange();
  refusing.take(refused);
  expect(refused.status).toBe(400);
  const side = sideOf((_exchange, _protocol, stream) => {
    const call = HeldCall.of(stream);
    Object.assign(call, { onReset() {} });
    calls.push(call);
  });
  const gone = new HeldExchange();
  side.take(gone);
  gone.taker.onGone(8);
  expect([refusing.openCalls, side.openCalls]).toEqual([0, 0]);
  side.answerAll(stopping);
  expect(calls.map(({ answers }) => answers)).toEqual([[]]);
});

/** A read that goes directly, and once more through the local proxy if the destination's proxy refuses it. */
import { type Channel, status } from "@grpc/grpc-js";

export type Call = ReturnType<Channel["createCall"]>;
type Metadata = Parameters<Call["start"]>[0];
type CallListener = Parameters<Call["start"]>[1];
type MessageContext = Parameters<Call["sendMessageWithContext"]>[0];
type StatusObject = Parameters<CallListener["onReceiveStatus"]>[0];

interface Kept {
  readonly context: MessageContext;
  readonly message: Buffer;
}

/** A request that is longer is not kept, so that a refusal of it is its answer. */
const keptBytesMax = 64 * 1024;

/**
 * A call of grpc-js. It is repeated at most once, and only before anything of an answer has come. It must be a read: an
 * application may have seen the first one, if a change of policy ended it under way.
 */
export class DirectCall implements Call {
  #call: Call;
  /** Begins the call through the local proxy; undefined: this call goes no other way any more. */
  #again: (() => Call | undefined) | undefined;
  #kept: Kept[] = [];
  #keptBytes = 0;
  /** The number of kept messages that the second call has; undefined: there is none, or it has all of them. */
  #resent: number | undefined;
  #reads = 0;
  #isHalfClosed = false;
  #metadata: Metadata | undefined;
  #listener: CallListener | undefined;
  #credentials: Parameters<Call["setCredentials"]>[0] | undefined;

  constructor(direct: Call, again: () => Call | undefined) {
    this.#call = direct;
    this.#again = again;
  }

  start(metadata: Metadata, listener: CallListener): void {
    this.#metadata = metadata.clone();
    this.#listener = listener;
    this.#call.start(metadata, {
      onReceiveMetadata: (head) => {
        this.#settle();
        listener.onReceiveMetadata(head);
      },
      onReceiveMessage: (message) => {
        this.#settle();
        listener.onReceiveMessage(message);
      },
      onReceiveStatus: (end) => {
        const second = isRefusal(end) ? this.#again?.() : undefined;
        if (second === undefined) listener.onReceiveStatus(end);
        else this.#repeat(second);
      },
    });
  }

  sendMessageWithContext(context: MessageContext, message: Buffer): void {
    if (this.#resent !== undefined) {
      this.#kept.push({ context, message }); // its turn comes after those before it
      return;
    }
    this.#keptBytes += message.length;
    if (this.#keptBytes > keptBytesMax) this.#settle();
    const kept = { context: { ...context, callback: once(context.callback) }, message };
    if (this.#again !== undefined) this.#kept.push(kept);
    this.#call.sendMessageWithContext(kept.context, message);
  }

  startRead(): void {
    this.#reads += 1;
    this.#call.startRead();
  }

  halfClose(): void {
    this.#isHalfClosed = true;
    if (this.#resent === undefined) this.#call.halfClose();
  }

  cancelWithStatus(...why: Parameters<Call["cancelWithStatus"]>): void {
    this.#settle();
    this.#call.cancelWithStatus(...why);
  }

  setCredentials(...credentials: Parameters<Call["setCredentials"]>): void {
    [this.#credentials] = credentials;
    this.#call.setCredentials(...credentials);
  }

  getPeer(): string {
    return this.#call.getPeer();
  }

  getCallNumber(): number {
    return this.#call.getCallNumber();
  }

  getAuthContext(): ReturnType<Call["getAuthContext"]> {
    return this.#call.getAuthContext();
  }

  /** The call has an answer, or cannot be repeated: nothing is kept for the other way. */
  #settle(): void {
    this.#again = undefined;
    this.#kept = [];
  }

  #repeat(second: Call): void {
    this.#again = undefined;
    this.#call = second;
    this.#resent = 0;
    if (this.#credentials !== undefined) second.setCredentials(this.#credentials);
    if (this.#metadata !== undefined && this.#listener !== undefined) second.start(this.#metadata, this.#listener);
    for (let read = 0; read < this.#reads; read += 1) second.startRead();
    this.#resend();
  }

  /** Sends what was kept, one message after the other: a call takes the next one once it has written the one before. */
  #resend(): void {
    const next = this.#kept[this.#resent ?? 0];
    if (next === undefined) {
      this.#resent = undefined;
      this.#kept = [];
      if (this.#isHalfClosed) this.#call.halfClose();
      return;
    }
    this.#resent = (this.#resent ?? 0) + 1;
    const callback = once((error) => {
      next.context.callback?.(error);
      this.#resend();
    });
    this.#call.sendMessageWithContext({ ...next.context, callback }, next.message);
  }
}

type WriteCallback = NonNullable<MessageContext["callback"]>;

function once(callback: WriteCallback = () => {}): WriteCallback {
  let isCalled = false;
  return (error) => {
    if (isCalled) return;
    isCalled = true;
    callback(error);
  };
}

/** Whether a proxy of the mesh refused the call: an application's own 7 has no decision, since its `ashlar-*` are removed. */
function isRefusal({ code, metadata }: StatusObject): boolean {
  return code === status.PERMISSION_DENIED && metadata.get("ashlar-decision").length > 0;
}

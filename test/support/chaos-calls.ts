/** Calls in the chaos tests of journals. Each resolves with what its client learned at the end, and never rejects. */
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import type { EchoClient } from "./echo-client.js";

export interface Told {
  readonly code: number;
  readonly details: string;
  /** The write's sequence in the journal. 0: the client did not learn it. */
  readonly sequence: number;
}

export interface KeyedCall {
  readonly key: string;
  /** The order key. Left out: the call has none. */
  readonly account?: string;
  readonly deadlineMs: number;
}

const tellOf = ({ code, details, metadata }: Pick<StatusObject, "code" | "details" | "metadata">): Told => ({
  ...{ code, details },
  sequence: Number(metadata.get("ashlar-sequence")[0] ?? 0),
});

function metadataOf({ key, account }: Pick<KeyedCall, "key" | "account">): Metadata {
  const metadata = new Metadata();
  metadata.set("idempotency-key", key);
  if (account !== undefined) metadata.set("x-account", account);
  return metadata;
}

export async function writeOne(client: EchoClient, text: string, call: KeyedCall): Promise<Told> {
  const options = { metadata: metadataOf(call), deadlineMs: call.deadlineMs };
  const { code, details, trailers } = await client.unary({ text, delay_ms: 5 }, options);
  return tellOf({ code, details, metadata: trailers });
}

/** Makes a request of several messages, with a short pause between them. */
export function writeStream(client: EchoClient, texts: readonly string[], call: KeyedCall): Promise<Told> {
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + call.deadlineMs };
    const stream = client.raw.ClientStream(metadataOf(call), options, () => {});
    stream.on("status", (status: StatusObject) => resolve(tellOf(status)));
    stream.on("error", () => {}); // the status reports it too
    sendSlowly(stream, texts);
  });
}

/** Sends each text when the one before was answered, and then ends the call. */
export function talk(client: EchoClient, texts: readonly string[], deadlineMs: number): Promise<Told> {
  return new Promise((resolve) => {
    const call = client.raw.Bidi(new Metadata(), { deadline: Date.now() + deadlineMs });
    let said = 0;
    const next = (): void => {
      if (said < texts.length) call.write({ text: texts[said] });
      else call.end();
      said += 1;
    };
    call.on("data", next);
    call.on("error", () => {}); // the status reports it too
    call.on("status", (status: StatusObject) => resolve(tellOf(status)));
    next();
  });
}

interface Sending {
  write(message: { readonly text: string }): void;
  end(): void;
  readonly destroyed: boolean;
}

function sendSlowly(stream: Sending, texts: readonly string[]): void {
  let sent = 0;
  const timer = setInterval(() => {
    const text = texts[sent];
    sent += 1;
    if (text !== undefined && !stream.destroyed) stream.write({ text });
    else {
      clearInterval(timer);
      stream.end();
    }
  }, 3);
}

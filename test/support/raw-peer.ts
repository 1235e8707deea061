/** One end of an HTTP/2 connection that sends what it is told and writes down what it hears. Either role. */
import type { Duplex } from "node:stream";
import { HpackDecoder } from "../../data-plane/http2/hpack-decoder.js";
import { clientPreface, frameFlag, frameType, initialWindow, settingId } from "../../data-plane/http2/protocol.js";
import { RawStream } from "./raw-stream.js";
import { type Field, type Frame, frame, headers, type Setting, settings, settingsAck, windowUpdate } from "./wire.js";

export interface RawPeerOptions {
  readonly settings?: readonly Setting[];
  /** Acknowledges SETTINGS and PING (default true). */
  readonly polite?: boolean;
  /** Gives windows back as DATA comes (default true). */
  readonly opensWindows?: boolean;
  /** Says nothing by itself at the start. */
  readonly silent?: boolean;
}

const bodyBytesKept = 65_536;

export class RawPeer {
  readonly socket: Duplex;
  readonly streams = new Map<number, RawStream>();
  readonly received = new Map<number, number>();
  readonly peerSettings = new Map<number, number>();
  readonly goaways: { readonly code: number; readonly last: number }[] = [];
  readonly pingAcks: string[] = [];
  settingsAcks = 0;
  closed = false;
  error = "";
  window = initialWindow;
  onHeaders: ((stream: RawStream) => void) | undefined;
  onData: ((stream: RawStream, bytes: Buffer) => void) | undefined;
  onEnd: ((stream: RawStream) => void) | undefined;
  onReset: ((stream: RawStream) => void) | undefined;
  readonly #polite: boolean;
  readonly #opensWindows: boolean;
  readonly #decoder = new HpackDecoder({ headerFieldsMax: 5000, headerListBytesMax: 1 << 20 });
  readonly #waiters = new Set<() => void>();
  #pending: Buffer = Buffer.alloc(0);
  #prefaceLeft: number;
  #block: { readonly stream: RawStream; readonly parts: Buffer[]; readonly endStream: boolean } | undefined;
  #takenBytes = 0;

  constructor(socket: Duplex, isServer: boolean, options: RawPeerOptions = {}) {
    this.socket = socket;
    this.#polite = options.polite ?? true;
    this.#opensWindows = options.opensWindows ?? true;
    this.#prefaceLeft = isServer ? clientPreface.length : 0;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error ||= error.code ?? error.message;
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
    if (options.silent) return;
    this.send(...(isServer ? [] : [Buffer.from(clientPreface, "latin1")]), settings(options.settings));
  }

  send(...pieces: Uint8Array[]): void {
    if (this.closed || this.socket.destroyed || this.socket.writableEnded) return;
    this.socket.write(pieces.length === 1 ? (pieces[0] ?? "") : Buffer.concat(pieces));
  }

  /** Waits for what was written to be taken by the system, or `ms`. */
  async drained(ms = 2000): Promise<void> {
    const end = Date.now() + ms;
    while (this.socket.writableLength > 0 && !this.closed && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Whether `holds` came true within `ms`; asked again after each frame and at the end of the connection. */
  until(holds: () => boolean, ms = 5000): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (result: boolean) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(result);
      };
      const look = () => {
        if (holds()) done(true);
        else if (this.closed) done(false);
      };
      const timer = setTimeout(() => done(holds()), ms);
      this.#waiters.add(look);
    });
  }

  stream(id: number): RawStream {
    let found = this.streams.get(id);
    if (found === undefined) {
      found = new RawStream(id, this.peerSettings.get(settingId.initialWindowSize) ?? initialWindow);
      this.streams.set(id, found);
    }
    return found;
  }

  /** The code of the first GOAWAY that is not NO_ERROR. */
  get fatal(): number | undefined {
    return this.goaways.find(({ code }) => code !== 0)?.code;
  }

  count(type: number): number {
    return this.received.get(type) ?? 0;
  }

  /** Sends within the peer's windows; `trailers` close the stream. */
  sendData(stream: RawStream, bytes: Buffer, trailers?: readonly Field[]): void {
    stream.queue.push(bytes);
    if (trailers !== undefined) stream.trailersToSend = trailers;
    this.#flush(stream);
  }

  close(): void {
    this.socket.destroy();
  }

  #flush(stream: RawStream): void {
    while (stream.queue.length > 0 && stream.resetCode === undefined) {
      const next = stream.queue[0] as Buffer;
      const fits = Math.min(next.length, stream.window, this.window, 16_384);
      if (fits <= 0 && next.length > 0) return;
      if (fits === next.length) stream.queue.shift();
      else stream.queue[0] = next.subarray(fits);
      stream.window -= fits;
      this.window -= fits;
      stream.sentBytes += fits;
      this.send(frame(frameType.data, 0, stream.id, next.subarray(0, fits)));
    }
    if (stream.trailersToSend === undefined || stream.resetCode !== undefined) return;
    this.send(headers(stream.id, stream.trailersToSend, { endStream: true }));
    stream.trailersToSend = undefined;
  }

  #wake(): void {
    for (const look of [...this.#waiters]) look();
  }

  #read(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    if (this.#prefaceLeft > 0) {
      const skipped = Math.min(this.#prefaceLeft, this.#pending.length);
      this.#prefaceLeft -= skipped;
      this.#pending = this.#pending.subarray(skipped);
      if (this.#prefaceLeft > 0) return;
    }
    for (;;) {
      if (this.#pending.length < 9) break;
      const end = 9 + this.#pending.readUIntBE(0, 3);
      if (this.#pending.length < end) break;
      const [, , , type = 0, flags = 0] = this.#pending;
      this.#take({
        type,
        flags,
        streamId: this.#pending.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#pending.subarray(9, end),
      });
      this.#pending = this.#pending.subarray(end);
    }
    this.#wake();
  }

  #take(one: Frame): void {
    this.received.set(one.type, this.count(one.type) + 1);
    const isAck = (one.flags & frameFlag.ack) !== 0;
    switch (one.type) {
      case frameType.headers:
        this.#block = {
          stream: this.stream(one.streamId),
          parts: [unpad(one)],
          endStream: (one.flags & frameFlag.endStream) !== 0,
        };
        if ((one.flags & frameFlag.endHeaders) !== 0) this.#endBlock();
        break;
      case frameType.continuation:
        this.#block?.parts.push(one.payload);
        if ((one.flags & frameFlag.endHeaders) !== 0) this.#endBlock();
        break;
      case frameType.data:
        this.#takeData(one);
        break;
      case frameType.resetStream: {
        const stream = this.stream(one.streamId);
        stream.resetCode ??= one.payload.readUInt32BE(0);
        this.onReset?.(stream);
        break;
      }
      case frameType.settings:
        if (isAck) this.settingsAcks++;
        else this.#takeSettings(one.payload);
        break;
      case frameType.ping:
        if (isAck) this.pingAcks.push(one.payload.toString("latin1"));
        else if (this.#polite) this.send(frame(frameType.ping, frameFlag.ack, 0, one.payload));
        break;
      case frameType.goaway:
        this.goaways.push({ last: one.payload.readUInt32BE(0), code: one.payload.readUInt32BE(4) });
        break;
      case frameType.windowUpdate:
        this.#takeWindow(one.streamId, one.payload.readUInt32BE(0));
        break;
    }
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const id = payload.readUInt16BE(at);
      const value = payload.readUInt32BE(at + 2);
      if (id === settingId.initialWindowSize) {
        const change = value - (this.peerSettings.get(id) ?? initialWindow);
        for (const stream of this.streams.values()) stream.window += change;
      }
      this.peerSettings.set(id, value);
    }
    if (this.#polite) this.send(settingsAck);
    for (const stream of this.streams.values()) this.#flush(stream);
  }

  #takeWindow(id: number, add: number): void {
    if (id === 0) this.window += add;
    else this.stream(id).window += add;
    const waiting = id === 0 ? this.streams.values() : [this.stream(id)];
    for (const stream of waiting)
      if (stream.queue.length > 0 || stream.trailersToSend !== undefined) this.#flush(stream);
  }

  #takeData(one: Frame): void {
    const stream = this.stream(one.streamId);
    const bytes = unpad(one);
    stream.bytes += bytes.length;
    if (stream.bytes <= bodyBytesKept) stream.body.push(bytes);
    const length = one.payload.length;
    if (this.#opensWindows && length > 0) {
      this.#takenBytes += length;
      if (this.#takenBytes >= 16_384) {
        this.send(windowUpdate(0, this.#takenBytes));
        this.#takenBytes = 0;
      }
      if ((one.flags & frameFlag.endStream) === 0) this.send(windowUpdate(one.streamId, length));
    }
    this.onData?.(stream, bytes);
    if ((one.flags & frameFlag.endStream) !== 0) this.#end(stream);
  }

  #endBlock(): void {
    const found = this.#block;
    this.#block = undefined;
    if (found === undefined) return;
    const bytes = Buffer.concat(found.parts);
    this.#decoder.decode(bytes, 0, bytes.length);
    const list: Field[] = [];
    const { fields } = this.#decoder;
    for (let at = 0; at < fields.count; at++) list.push([fields.nameText(at), fields.valueText(at)]);
    if (found.stream.fields.length === 0) {
      found.stream.fields = list;
      this.onHeaders?.(found.stream);
    } else found.stream.trailers = list;
    if (found.endStream) this.#end(found.stream);
  }

  #end(stream: RawStream): void {
    stream.ended = true;
    this.onEnd?.(stream);
  }
}

function unpad({ flags, type, payload }: Frame): Buffer {
  let start = 0;
  let end = payload.length;
  if ((flags & frameFlag.padded) !== 0) {
    start = 1;
    end -= payload[0] ?? 0;
  }
  if (type === frameType.headers && (flags & frameFlag.priority) !== 0) start += 5;
  return payload.subarray(start, end);
}

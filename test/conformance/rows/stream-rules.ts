/** RFC 9113, 4 and 5: frames, streams and their states. */
import { frameType } from "../../../data-plane/http2/protocol.js";
import { block, data, frame, headers, message, priority, reset, windowUpdate, word } from "../../support/wire.js";
import {
  connection,
  either,
  finish,
  good,
  isServed,
  on,
  onConnection,
  openThen,
  protocol,
  type Rule,
  size,
  waiting,
} from "./server-rule.js";

export const streamRules: readonly Rule[] = [
  {
    section: "4.1",
    name: "unknown frame types are ignored",
    act: openThen((id) => [frame(0x42, 0xff, id, Buffer.alloc(8)), finish(id)], good),
    wanted: isServed,
  },
  {
    section: "4.1",
    name: "undefined flags are ignored",
    act: openThen((id) => [frame(frameType.data, 0xf2 & ~8, id, message("x")), finish(id)], good),
    wanted: isServed,
  },
  {
    section: "4.1",
    name: "the reserved bit is ignored",
    act: openThen((id) => [frame(frameType.data, 1, (id | 0x8000_0000) >>> 0, message("x"))], good),
    wanted: isServed,
  },
  {
    section: "4.2",
    name: "DATA of 2^14 bytes is taken",
    act: openThen((id) => [data(id, Buffer.alloc(16_384), true)], good),
    wanted: isServed,
  },
  {
    section: "4.2",
    name: "DATA of 2^14+1 bytes",
    act: openThen((id) => [data(id, Buffer.alloc(16_385))]),
    wanted: either(size),
  },
  {
    section: "4.2",
    name: "HEADERS of 2^14+1 bytes",
    act: onConnection(on((id) => [frame(frameType.headers, 4, id, Buffer.alloc(16_385))])),
    wanted: connection(size),
  },
  {
    section: "4.3",
    name: "PRIORITY inside a header block",
    act: onConnection(on((id) => [headers(id, good, { endHeaders: false }), priority(id)])),
    wanted: connection(protocol),
  },
  {
    section: "4.3",
    name: "HEADERS of another stream inside a block",
    act: onConnection(on((id) => [headers(id, good, { endHeaders: false }), headers(id + 2, good)])),
    wanted: connection(protocol),
  },
  {
    section: "5.1",
    name: "idle: DATA",
    act: onConnection(on((id) => [data(id, message("x"))])),
    wanted: connection(protocol),
  },
  {
    section: "5.1",
    name: "idle: RST_STREAM",
    act: onConnection(on((id) => [reset(id, 8)])),
    wanted: connection(protocol),
  },
  {
    section: "5.1",
    name: "idle: WINDOW_UPDATE",
    act: onConnection(on((id) => [windowUpdate(id, 1)])),
    wanted: connection(protocol),
  },
  {
    section: "5.1",
    name: "idle: CONTINUATION",
    act: onConnection(on((id) => [frame(frameType.continuation, 4, id)])),
    wanted: connection(protocol),
  },
  {
    section: "5.1",
    name: "half closed: DATA",
    act: on((id) => [headers(id, waiting, { endStream: true }), data(id, message("x"))]),
    wanted: either("STREAM_CLOSED"),
  },
  {
    section: "5.1",
    name: "half closed: HEADERS",
    act: on((id) => [headers(id, waiting, { endStream: true }), headers(id, [["a", "b"]], { endStream: true })]),
    wanted: either("STREAM_CLOSED"),
  },
  {
    section: "5.1",
    name: "half closed: CONTINUATION",
    act: onConnection(on((id) => [headers(id, waiting, { endStream: true }), frame(frameType.continuation, 4, id)])),
    wanted: connection(protocol),
  },
  {
    section: "5.1.1",
    name: "even stream id",
    act: onConnection(on((id) => [headers(id + 1, good, { endStream: true })])),
    wanted: connection(protocol),
  },
  {
    section: "5.1.1",
    name: "id lower than before",
    act: onConnection(on((id) => [headers(id, waiting), headers(id - 2, good, { endStream: true })])),
    wanted: /^GOAWAY\((PROTOCOL_ERROR|STREAM_CLOSED)\)$/,
  },
  { section: "5.3.1", name: "PRIORITY on itself", act: openThen((id) => [priority(id, id)]), wanted: either(protocol) },
  {
    section: "5.3.1",
    name: "HEADERS that depend on themselves",
    act: on((id) => [frame(frameType.headers, 0x25, id, Buffer.concat([word(id), Buffer.of(0), block(good)]))]),
    wanted: either(protocol),
  },
  {
    section: "5.3",
    name: "HEADERS with priority are served",
    act: on((id) => [
      frame(frameType.headers, 0x24, id, Buffer.concat([word(0), Buffer.of(9), block(good)])),
      finish(id),
    ]),
    wanted: isServed,
  },
  {
    section: "5.3",
    name: "PRIORITY of an idle stream is ignored",
    act: on((id) => [priority(id + 100), headers(id, good), finish(id)]),
    wanted: isServed,
  },
];

/** Row 14: what RFC 9113 forbids a server, as an application may do it all the same. */
import { frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { data, frame, headers, message, priority, reset, windowUpdate, word } from "../../support/wire.js";
import { okTrailers, responseHead } from "../upstream.js";

import { broken, type Fault } from "./application-fault.js";

export const rfc: readonly Fault[] = [
  {
    name: "no :status",
    behave: (peer, { id }) => peer.send(headers(id, [["content-type", "application/grpc"]])),
    wanted: broken,
  },
  {
    name: "two :status",
    behave: (peer, { id }) => peer.send(headers(id, [[":status", "200"], ...responseHead])),
    wanted: broken,
  },
  { name: ":status abc", behave: (peer, { id }) => peer.send(headers(id, [[":status", "abc"]])), wanted: broken },
  {
    name: ":path in a response",
    behave: (peer, { id }) => peer.send(headers(id, [...responseHead, [":path", "/"]])),
    wanted: broken,
  },
  {
    name: "upper case name",
    behave: (peer, { id }) => peer.send(headers(id, [...responseHead, ["X-A", "b"]])),
    wanted: broken,
  },
  {
    name: "CR in a value",
    behave: (peer, { id }) => peer.send(headers(id, [...responseHead, ["x-a", "a\rb"]])),
    wanted: broken,
  },
  {
    name: "connection header",
    behave: (peer, { id }) => peer.send(headers(id, [...responseHead, ["connection", "close"]])),
    wanted: broken,
  },
  {
    name: "pseudo-header in trailers",
    behave: (peer, { id }) =>
      peer.send(headers(id, responseHead), headers(id, [[":status", "200"]], { endStream: true })),
    wanted: broken,
  },
  {
    name: "trailers without END_STREAM",
    behave: (peer, { id }) => peer.send(headers(id, responseHead), data(id, message("x")), headers(id, okTrailers)),
    wanted: broken,
  },
  { name: "DATA before HEADERS", behave: (peer, { id }) => peer.send(data(id, message("x"))), wanted: broken },
  {
    name: "content-length too large",
    behave: (peer, { id }) =>
      peer.send(headers(id, [...responseHead, ["content-length", "9"]]), data(id, message("x"), true)),
    wanted: broken,
  },
  {
    name: "PUSH_PROMISE",
    behave: (peer, { id }) => peer.send(frame(frameType.pushPromise, 4, id, Buffer.concat([word(2), Buffer.of(0x82)]))),
    wanted: broken,
  },
  { name: "HEADERS of stream 2", behave: (peer) => peer.send(headers(2, responseHead)), wanted: broken },
  {
    name: "DATA of stream 0",
    behave: (peer) => peer.send(frame(frameType.data, 0, 0, Buffer.alloc(3))),
    wanted: broken,
  },
  { name: "RST of an idle stream", behave: (peer, { id }) => peer.send(reset(id + 100, 0)), wanted: broken },
  { name: "WINDOW_UPDATE of 0 on the connection", behave: (peer) => peer.send(windowUpdate(0, 0)), wanted: broken },
  { name: "window of the connection over", behave: (peer) => peer.send(windowUpdate(0, 0x7fff_ffff)), wanted: broken },
  {
    name: "window of the stream over",
    behave: (peer, { id }) => peer.send(windowUpdate(id, 0x7fff_ffff)),
    wanted: broken,
  },
  {
    name: "frame of 16,385 bytes",
    behave: (peer, { id }) => peer.send(headers(id, responseHead), data(id, Buffer.alloc(16_385))),
    wanted: broken,
  },
  {
    name: "SETTINGS of 5 bytes",
    behave: (peer) => peer.send(frame(frameType.settings, 0, 0, Buffer.alloc(5))),
    wanted: broken,
  },
  {
    name: "PING of 7 bytes",
    behave: (peer) => peer.send(frame(frameType.ping, 0, 0, Buffer.alloc(7))),
    wanted: broken,
  },
  {
    name: "GOAWAY of 7 bytes",
    behave: (peer) => peer.send(frame(frameType.goaway, 0, 0, Buffer.alloc(7))),
    wanted: broken,
  },
  { name: "PRIORITY on itself", behave: (peer, { id }) => peer.send(priority(id, id)), wanted: broken },
  {
    name: "padding longer than the frame",
    behave: (peer, { id }) =>
      peer.send(headers(id, responseHead), frame(frameType.data, frameFlag.padded, id, Buffer.of(9, 1, 2))),
    wanted: broken,
  },
  { name: "bad HPACK", behave: (peer, { id }) => peer.send(headers(id, Buffer.of(0x80))), wanted: broken },
  {
    name: "CONTINUATION without HEADERS",
    behave: (peer, { id }) => peer.send(frame(frameType.continuation, 4, id)),
    wanted: broken,
  },
  {
    name: "DATA inside a header block",
    behave: (peer, { id }) => peer.send(headers(id, responseHead, { endHeaders: false }), data(id, Buffer.of(1))),
    wanted: broken,
  },
  {
    name: "header list of 80 KiB",
    behave: (peer, { id }) =>
      peer.send(
        headers(id, [
          ...responseHead,
          ...Array.from({ length: 20 }, (_, at) => [`x-${at}`, "v".repeat(4000)] as const),
        ]),
      ),
    wanted: /^grpc-status (8|13|14)$|^RST_STREAM/,
  },
  {
    name: "DATA beyond the window",
    behave: (peer, { id }) => {
      peer.send(headers(id, responseHead));
      for (let i = 0; i < 80; i++) peer.send(data(id, Buffer.alloc(16_384)));
    },
    wanted: /^grpc-status (13|14)$|^RST_STREAM/,
  },
];

/** Row 14: applications that end, break off or delay what they should not. */
import { errorCode } from "../../../data-plane/http2/protocol.js";
import type { RawPeer } from "../../support/raw-peer.js";
import { data, headers, message, ping, reset } from "../../support/wire.js";
import { okTrailers, responseHead } from "../upstream.js";

import { broken, type Fault, goaway, padded, reply } from "./application-fault.js";

const dripMs = 10;
const okEnd = (id: number) => headers(id, okTrailers, { endStream: true });

/** Sends a byte at a time, as long as the connection takes them. */
function drip(peer: RawPeer, bytes: Buffer): void {
  let at = 0;
  const timer = setInterval(() => {
    if (at >= bytes.length || peer.socket.destroyed) clearInterval(timer);
    else peer.socket.write(bytes.subarray(at, ++at));
  }, dripMs);
}

export const faults: readonly Fault[] = [
  {
    name: "reset after headers",
    behave: (peer, { id }) => peer.send(headers(id, responseHead), reset(id, errorCode.internalError)),
    wanted: /^grpc-status 13$|^RST_STREAM\(INTERNAL_ERROR\)$/,
  },
  {
    name: "reset during data",
    behave: (peer, { id }) =>
      peer.send(
        headers(id, responseHead),
        data(id, message("abcdef").subarray(0, 8)),
        reset(id, errorCode.internalError),
      ),
    wanted: /^grpc-status 13$|^RST_STREAM\(INTERNAL_ERROR\)$/,
  },
  {
    name: "reset after data",
    behave: (peer, { id }) =>
      peer.send(headers(id, responseHead), data(id, message("abc")), reset(id, errorCode.internalError)),
    wanted: /^grpc-status 13$|^RST_STREAM\(INTERNAL_ERROR\)$/,
  },
  {
    name: "refused stream",
    behave: (peer, { id }) => peer.send(reset(id, errorCode.refusedStream)),
    wanted: /^grpc-status 14$/,
  },
  { name: "reset CANCEL", behave: (peer, { id }) => peer.send(reset(id, errorCode.cancel)), wanted: /^grpc-status 1$/ },
  {
    name: "reset ENHANCE_YOUR_CALM",
    behave: (peer, { id }) => peer.send(reset(id, errorCode.enhanceYourCalm)),
    wanted: /^grpc-status 8$/,
  },
  {
    name: "reset INADEQUATE_SECURITY",
    behave: (peer, { id }) => peer.send(reset(id, errorCode.inadequateSecurity)),
    wanted: /^grpc-status 7$/,
  },
  { name: "GOAWAY that refuses the call", behave: (peer) => peer.send(goaway(0, 0)), wanted: /^grpc-status (0|14)$/ },
  {
    name: "GOAWAY and close before an answer",
    behave: (peer, { id }) => {
      peer.send(goaway(id, 0));
      peer.socket.end();
    },
    wanted: /^grpc-status 14$/,
  },
  {
    name: "GOAWAY(NO_ERROR), then answers",
    behave: (peer, stream) => {
      peer.send(goaway(stream.id, 0));
      reply(peer, stream);
    },
    wanted: /^grpc-status 0$/,
  },
  {
    name: "garbage in place of frames",
    behave: (peer) => void peer.socket.write(Buffer.alloc(4096, "not HTTP/2 at all\r\n")),
    wanted: broken,
  },
  {
    name: "half-open: ends its side and says nothing",
    behave: (peer) => void peer.socket.end(),
    wanted: /^grpc-status 14$/,
  },
  {
    name: "slow drip: an answer byte by byte",
    behave: (peer, { id }) =>
      drip(peer, Buffer.concat([headers(id, responseHead), data(id, message("ok")), okEnd(id)])),
    wanted: /^grpc-status 0$/,
  },
  {
    name: "GOAWAY storm, then answers",
    behave: (peer, stream) => {
      for (let sent = 0; sent < 50; sent++) peer.send(goaway(stream.id, 0));
      reply(peer, stream);
    },
    wanted: /^grpc-status (0|14)$/,
  },
  { name: "closes without a word", behave: (peer) => peer.close(), wanted: /^grpc-status 14$/ },
  {
    name: "closes after headers",
    behave: (peer, { id }) => {
      peer.send(headers(id, responseHead));
      peer.socket.end();
    },
    wanted: /^grpc-status (13|14)$|^RST_STREAM/,
  },
  {
    name: "pings all the time",
    behave: (peer, stream) => {
      for (let i = 0; i < 20; i++) peer.send(ping());
      reply(peer, stream);
    },
    wanted: /^grpc-status 0$/,
  },
  {
    name: "padded data",
    behave: (peer, { id }) =>
      peer.send(headers(id, responseHead), padded(id, message("ok")), headers(id, okTrailers, { endStream: true })),
    wanted: /^grpc-status 0$/,
  },
  { name: "one stream at a time", behave: reply, options: { settings: [[3, 1]] }, wanted: /^grpc-status 0$/ },
  {
    name: "END_STREAM without trailers",
    behave: (peer, { id }) => peer.send(headers(id, responseHead), data(id, message("x"), true)),
    wanted: /^grpc-status (2|13)$|^RST_STREAM/,
  },
  {
    name: "HTTP 503 without grpc-status",
    behave: (peer, { id }) => peer.send(headers(id, [[":status", "503"]], { endStream: true })),
    wanted: /^grpc-status 14$/,
  },
  {
    name: "HTTP 404 without grpc-status",
    behave: (peer, { id }) => peer.send(headers(id, [[":status", "404"]], { endStream: true })),
    wanted: /^grpc-status 12$/,
  },
  {
    name: "HTTP 200 of text/html",
    behave: (peer, { id }) =>
      peer.send(
        headers(id, [
          [":status", "200"],
          ["content-type", "text/html"],
        ]),
        data(id, Buffer.from("<p>"), true),
      ),
    wanted: /^grpc-status (2|13)$|^RST_STREAM/,
  },
  {
    name: "many informational heads",
    behave: (peer, stream) => {
      peer.send(headers(stream.id, [[":status", "103"]]));
      reply(peer, stream);
    },
    wanted: /^grpc-status (0|13)$/,
  },
];

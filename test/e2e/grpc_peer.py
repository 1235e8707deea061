"""A peer on gRPC's C core, with the methods and cases of bench/peers: "server unix:PATH" | "cases unix:PATH AUTHORITY"."""

import json
import sys
import threading
import time
from concurrent import futures

import grpc

PATIENCE_S = 30
MESSAGE_BYTES = 6 << 20
DETAIL = " a message between spaces "
SIZES = [("grpc.max_receive_message_length", 2 * MESSAGE_BYTES), ("grpc.max_send_message_length", 2 * MESSAGE_BYTES)]
# 20 kB of metadata: C core's own bounds are 8 KiB (soft) and 16 KiB.
HEADERS = [("grpc.max_metadata_size", 64 << 10), ("grpc.absolute_max_metadata_size", 128 << 10)]
PINGS = [
    ("grpc.keepalive_time_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


class Service(grpc.GenericRpcHandler):
    def __init__(self):
        self.cancelled = 0
        self.lock = threading.Lock()

    def service(self, details):
        method = getattr(self, details.method.rsplit("/", 1)[1].lower(), self.echo)
        return grpc.stream_stream_rpc_method_handler(method)

    def echo(self, requests, context):
        yield from requests

    def metadata(self, requests, context):
        sent = [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-")]
        context.send_initial_metadata(sent)
        context.set_trailing_metadata(sent)
        yield b"ok"

    def trailers(self, requests, context):
        context.set_trailing_metadata([("x-spaces", " b ")] + [(f"x-long-{n}", "t" * 1000) for n in range(17)])
        context.abort(grpc.StatusCode.ABORTED, DETAIL)
        yield b""

    def remaining(self, requests, context):
        yield b"%d" % int(context.time_remaining() * 1000)

    def wait(self, requests, context):
        over = threading.Event()
        context.add_callback(over.set)
        context.send_initial_metadata([])
        over.wait()
        with self.lock:
            self.cancelled += 1
        return
        yield

    # The generic handler looks names up in lower case.
    def count(self, requests, context):
        yield b"%d" % self.cancelled

    def many(self, requests, context):
        for _ in range(int(next(requests))):
            yield b"m" * 1000


class Cases:
    def __init__(self, channel):
        self.channel = channel

    def open(self, method, requests, metadata=(), timeout=PATIENCE_S):
        return self.channel.stream_stream(f"/checks.Echo/{method}")(requests, metadata=metadata, timeout=timeout)

    def unary(self, method, sent=b"x", **rest):
        call = self.channel.unary_unary(f"/checks.Echo/{method}")
        return call(sent, timeout=rest.pop("timeout", PATIENCE_S), **rest)

    def metadata(self):
        binary = [("x-data-bin", b"\x00\xff,\x01"), ("x-data-bin", b"b,c"), ("x-data-bin", b"")]
        big = [(f"x-big-{n}", "v" * 1000) for n in range(20)]
        call = self.open("Metadata", iter([b"x"]), [("x-spaces", "  b "), *binary, *big])
        list(call)
        for metadata in (call.initial_metadata(), call.trailing_metadata()):
            got = [(name, value) for name, value in metadata if name.startswith("x-")]
            assert [value.strip() for name, value in got if name == "x-spaces"] == ["b"], "x-spaces"
            assert [one for one in got if one[0] == "x-data-bin"] == binary, "x-data-bin"
            assert sorted(one for one in got if one[0].startswith("x-big")) == sorted(big), "x-big"

    def trailers(self):
        try:
            self.unary("Trailers")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.ABORTED, error
            assert error.details().strip() == DETAIL.strip(), error.details()
            got = dict(error.trailing_metadata())
            assert got["x-spaces"].strip() == "b", got["x-spaces"]
            assert all(got[f"x-long-{n}"] == "t" * 1000 for n in range(17))
            return
        raise AssertionError("no status")

    def deadline(self):
        left = int(self.unary("Remaining"))
        assert 0 < left <= (PATIENCE_S + 1) * 1000, left  # C core rounds up

    def ends(self, run):
        before = int(self.unary("Count"))
        run()
        end = time.monotonic() + PATIENCE_S
        while int(self.unary("Count")) == before:
            assert time.monotonic() < end, "the application never saw it end"

    def expiry(self):
        def run():
            try:
                self.unary("Wait", timeout=0.5)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
                return
            raise AssertionError("no status")

        self.ends(run)

    def cancel(self):
        def run():
            call = self.open("Wait", iter([b"x"]))
            call.initial_metadata()
            call.cancel()
            assert call.code() == grpc.StatusCode.CANCELLED, call.code()

        self.ends(run)

    def big_message(self):
        sent = b"0123456789abcdef" * (MESSAGE_BYTES // 16)
        assert self.unary("Big", sent) == sent

    def short_streams(self):
        calls = [(n, self.open("Bidi", iter([b"%d" % n]))) for n in range(300)]
        for n, call in calls[::2]:
            call.cancel()
        for n, call in calls[1::2]:
            assert list(call) == [b"%d" % n], n

    def server_stream(self):
        assert len(list(self.open("Many", iter([b"500"])))) == 500

    def bidi(self):
        sent = [b"%d" % n for n in range(200)]
        assert list(self.open("Bidi", iter(sent))) == sent

    def run(self):
        names = {
            "20 kB of metadata, spaces, binary values": self.metadata,
            "17 kB of trailers, a message with spaces": self.trailers,
            "what remains of a deadline is told": self.deadline,
            "a deadline that passes": self.expiry,
            "a cancel": self.cancel,
            "a message of 6 MiB": self.big_message,
            "300 short streams, half of them cancelled": self.short_streams,
            "a server stream": self.server_stream,
            "a bidirectional stream": self.bidi,
        }
        told = {}
        for name, case in names.items():
            try:
                case()
                told[name] = ""
            except Exception as error:  # told to whoever asked
                told[name] = f"{type(error).__name__}: {error}"[:400]
        return told


def main():
    mode, path = sys.argv[1:3]
    if mode == "server":
        server = grpc.server(futures.ThreadPoolExecutor(400), options=SIZES + HEADERS)
        server.add_generic_rpc_handlers((Service(),))
        server.add_insecure_port(path)
        server.start()
        print("ready", flush=True)
        server.wait_for_termination()
    options = [("grpc.default_authority", sys.argv[3]), *SIZES, *HEADERS, *PINGS]
    with grpc.insecure_channel(path, options) as channel:
        print(json.dumps(Cases(channel).run()))


main()

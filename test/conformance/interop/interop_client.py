"""gRPC's interoperability shapes with Python as the client: interop_client.py TARGET AUTHORITY.

Prints a JSON object: shape -> "" if it is as it should be, else what was wrong. Messages are JSON, padded with spaces.
"""

import json
import queue
import sys
import threading

import grpc

SERVICE = "/grpc.testing.TestService/"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
METADATA = (
    ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
    ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"),
)
SIZES = [31415, 9, 2653, 58979]


def wish(sizes=(), size=0, status=None):
    message = {"sizes": list(sizes)}
    if status is not None:
        message["status"] = {"code": status[0], "message": status[1]}
    return json.dumps(message).ljust(size).encode()


def expect(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"{seen!r}, not {wanted!r}"[:300])


def failed(call):
    """Code and message that a call ended with."""
    try:
        for _ in call:
            pass
        return call.code(), call.details()
    except grpc.RpcError as error:
        return error.code(), error.details()


def unary_failed(stub, request, **options):
    try:
        stub(request, **options)
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


class Shapes:
    def __init__(self, channel):
        self.channel = channel
        self.unary = channel.unary_unary(SERVICE + "UnaryCall")
        self.empty = channel.unary_unary(SERVICE + "EmptyCall")
        self.input = channel.stream_unary(SERVICE + "StreamingInputCall")
        self.output = channel.unary_stream(SERVICE + "StreamingOutputCall")
        self.duplex = channel.stream_stream(SERVICE + "FullDuplexCall")

    def empty_unary(self):
        expect(self.empty(b"", timeout=10), b"")

    def large_unary(self):
        expect(len(self.unary(wish([314159], 271828), timeout=10)), 314159)

    def client_streaming(self):
        answer = self.input(iter([bytes(size) for size in (27182, 8, 1828, 45904)]), timeout=10)
        expect(json.loads(answer), {"bytes": 74922})

    def server_streaming(self):
        expect([len(message) for message in self.output(wish(SIZES), timeout=10)], SIZES)

    def ping_pong(self):
        seen = []
        waiting = queue.Queue()
        call = self.duplex(iter(waiting.get, None), timeout=10)
        for size in SIZES:
            waiting.put(wish([size], 27182))
            seen.append(len(next(call)))
        waiting.put(None)
        expect(list(call), [])
        expect(seen, SIZES)

    def empty_stream(self):
        expect(list(self.duplex(iter([]), timeout=10)), [])

    def cancel_after_begin(self):
        never = threading.Event()

        def requests():
            never.wait(5)
            return
            yield b""

        call = self.input.future(requests())
        call.cancel()
        never.set()
        expect(call.cancelled(), True)
        expect(call.code(), grpc.StatusCode.CANCELLED)

    def cancel_after_first_response(self):
        waiting = queue.Queue()
        call = self.duplex(iter(waiting.get, None), timeout=10)
        waiting.put(wish([31415], 27182))
        expect(len(next(call)), 31415)
        call.cancel()
        waiting.put(None)
        expect(failed(call)[0], grpc.StatusCode.CANCELLED)

    def timeout_on_sleeping_server(self):
        waiting = queue.Queue()
        waiting.put(wish([], 27182))
        call = self.duplex(iter(waiting.get, None), timeout=0.05)
        expect(failed(call)[0], grpc.StatusCode.DEADLINE_EXCEEDED)
        waiting.put(None)

    def custom_metadata(self):
        def read(call):
            return (
                dict(call.initial_metadata()).get("x-grpc-test-echo-initial"),
                dict(call.trailing_metadata()).get("x-grpc-test-echo-trailing-bin"),
            )

        wanted = ("test_initial_metadata_value", b"\xab\xab\xab")
        _, call = self.unary.with_call(wish([314159], 271828), metadata=METADATA, timeout=10)
        expect(read(call), wanted)
        call = self.duplex(iter([wish([314159], 271828)]), metadata=METADATA, timeout=10)
        expect([len(message) for message in call], [314159])
        expect(read(call), wanted)

    def status_code_and_message(self):
        self.status_of("test status message")

    def special_status_message(self):
        self.status_of(SPECIAL)

    def status_of(self, message):
        wanted = (grpc.StatusCode.UNKNOWN, message)
        expect(unary_failed(self.unary, wish(status=(2, message)), timeout=10), wanted)
        expect(failed(self.duplex(iter([wish(status=(2, message))]), timeout=10)), wanted)

    def unimplemented_method(self):
        stub = self.channel.unary_unary(SERVICE + "UnimplementedCall")
        expect(unary_failed(stub, b"", timeout=10)[0], grpc.StatusCode.UNIMPLEMENTED)

    def unimplemented_service(self):
        stub = self.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
        expect(unary_failed(stub, b"", timeout=10)[0], grpc.StatusCode.UNIMPLEMENTED)

    def client_compressed_unary(self):
        gzip = grpc.Compression.Gzip
        expect(len(self.unary(wish([314159], 271828), compression=gzip, timeout=10)), 314159)

    def client_compressed_streaming(self):
        sizes = (27182, 45904)
        answer = self.input(iter([bytes(size) for size in sizes]), compression=grpc.Compression.Gzip, timeout=10)
        expect(json.loads(answer), {"bytes": sum(sizes)})


def main():
    target, authority = sys.argv[1], sys.argv[2]
    result = {}
    with grpc.insecure_channel(target, options=[("grpc.default_authority", authority)]) as channel:
        shapes = Shapes(channel)
        for name in [name for name in vars(Shapes) if not name.startswith("_") and name != "status_of"]:
            try:
                getattr(shapes, name)()
                result[name] = ""
            except Exception as error:  # what was wrong is the result
                result[name] = f"{type(error).__name__}: {error}"[:400]
    print(json.dumps(result))


main()

"""What docs/policy-route.md and docs/policy-resilience.md promise, by gRPC's C core: "server unix:PATH NAME" | "cases unix:PATH"."""

import json
import sys
import time
from collections import Counter
from concurrent import futures

import grpc

PATIENCE_S = 30


class Application(grpc.GenericRpcHandler):
    """Answers with its name, and does what the request says: "fail", "fail first", "sleep", "sleep first" or "break"."""

    def __init__(self, name):
        self.name = name
        self.copies = 0
        self.is_broken = False

    def service(self, details):
        if details.method.endswith("/Copies"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"%d" % self.copies)
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request, context):
        metadata = dict(context.invocation_metadata())
        before = int(metadata.get("grpc-previous-rpc-attempts", "0"))
        if metadata.get("ashlar-mirror") == "1":
            self.copies += 1
        if request == b"break":
            self.is_broken = True
        elif self.is_broken or request == b"fail" or (request == b"fail first" and before == 0):
            context.abort(grpc.StatusCode.UNAVAILABLE, f"{self.name} fails as asked")
        elif request == b"sleep" or (request == b"sleep first" and before == 0):
            time.sleep(3)
        return json.dumps({"name": self.name, "before": before}).encode()


class Cases:
    def __init__(self, path):
        self.path = path
        self.channels = {}

    def call(self, service, method, request=b"", metadata=(), timeout=PATIENCE_S):
        return json.loads(self.future(service, method, request, metadata, timeout).result())

    def future(self, service, method, request=b"", metadata=(), timeout=PATIENCE_S):
        options = [("grpc.default_authority", service), ("grpc.enable_retries", 0)]
        if service not in self.channels:
            self.channels[service] = grpc.insecure_channel(self.path, options=options)
        call = self.channels[service].unary_unary(f"/shop.Orders/{method}")
        return call.future(request, metadata=metadata, timeout=timeout)

    def error(self, *args, **rest):
        try:
            self.call(*args, **rest)
        except grpc.RpcError as error:
            return error
        raise AssertionError("it succeeded")

    def retry(self):
        answer = self.call("orders", "Retried", b"fail first")
        assert answer["before"] == 1, answer
        error = self.error("orders", "Retried", b"fail")
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        assert "fails as asked" in error.details(), error.details()
        assert self.error("orders", "Plain", b"fail first").code() == grpc.StatusCode.UNAVAILABLE

    def hedge(self):
        start = time.monotonic()
        answer = self.call("orders", "Hedged", b"sleep first")
        assert answer["before"] == 1, answer
        assert time.monotonic() - start < 3, "the first try was waited for"

    def mirror(self):
        before = self.copies_of_v2()
        answers = [self.call("orders", "Mirrored")["name"] for _ in range(20)]
        assert set(answers) == {"v1"}, answers
        end = time.monotonic() + PATIENCE_S
        while self.copies_of_v2() < before + 20:
            assert time.monotonic() < end, f"{self.copies_of_v2() - before} copies of 20 calls"

    def copies_of_v2(self):
        return int(self.future("orders", "Copies").result())

    def fault(self):
        error = self.error("orders", "Plain", metadata=[("x-fault", "abort")])
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
        assert "fault" in error.details(), error.details()
        error = self.error("orders", "Plain", metadata=[("x-fault", "delay")], timeout=0.5)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
        self.call("orders", "Plain")

    def sticky(self):
        homes = {user: self.call("orders", "Split", metadata=[("x-user", user)])["name"] for user in map(str, range(40))}
        assert set(homes.values()) == {"v1", "v2"}, Counter(homes.values())
        for _ in range(3):
            for user, home in homes.items():
                assert self.call("orders", "Split", metadata=[("x-user", user)])["name"] == home, user

    def breaker(self):
        calls = [self.future("frail", "Plain", b"sleep") for _ in range(5)]
        refused = [call for call in calls if call.exception() is not None]
        assert len(refused) == 2, f"{len(refused)} of 5 calls at once were refused, and 3 may be open"
        for call in refused:
            assert call.code() == grpc.StatusCode.UNAVAILABLE, call.code()
            assert "the circuit breaker of frail is open: 3 calls are open" in call.details(), call.details()
        self.call("frail", "Plain")

    def outliers(self):
        names = {self.call("frail", "Plain")["name"] for _ in range(30)}
        assert len(names) == 2, names
        broken = self.call("frail", "Plain", b"break")["name"]
        failed = 0
        for _ in range(100):
            try:
                assert self.call("frail", "Plain")["name"] != broken
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error
                failed += 1
        assert failed == 3, f"{failed} calls failed, and consecutiveFailures is 3"


def main():
    if sys.argv[1] == "server":
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        server.add_generic_rpc_handlers((Application(sys.argv[3]),))
        server.add_insecure_port(sys.argv[2])
        server.start()
        print("ready", flush=True)
        server.wait_for_termination()
        return
    cases = Cases(sys.argv[2])
    told = {}
    for name in ("retry", "hedge", "mirror", "fault", "sticky", "breaker", "outliers"):
        try:
            getattr(cases, name)()
            told[name] = ""
        except Exception as error:  # told to the test with its case
            told[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(told))


main()

"""Calls test.Echo at a gateway over TLS: gateway_client.py TARGET CA TOKEN [CERT KEY]; TOKEN may be "-" for none.

Prints a line for each kind of call: its name, and what came back or the name of the status.
"""

import os
import sys
import tempfile

import grpc
from grpc_tools import protoc

here = os.path.dirname(os.path.abspath(__file__))


def read(path):
    with open(path, "rb") as file:
        return file.read()


with tempfile.TemporaryDirectory() as out:
    if protoc.main(["protoc", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", "echo.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    import echo_pb2
    import echo_pb2_grpc

    target, ca, token, *own = sys.argv[1:]
    certificate, key = [read(path) for path in own] if own else (None, None)
    security = grpc.ssl_channel_credentials(read(ca), key, certificate)
    if token != "-":
        security = grpc.composite_channel_credentials(security, grpc.access_token_call_credentials(token))
    Request = echo_pb2.EchoRequest
    with grpc.secure_channel(target, security, options=[("grpc.ssl_target_name_override", "shop.example")]) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        calls = {
            "unary": lambda: stub.Unary(Request(text="one", payload=b"x" * 100000), timeout=20),
            "server stream": lambda: list(stub.ServerStream(Request(text="many", count=50), timeout=20))[-1],
            "client stream": lambda: stub.ClientStream(iter([Request(text=text) for text in "abc"]), timeout=20),
            "not exposed": lambda: stub.Forbidden(Request(), timeout=20),
        }
        for name, call in calls.items():
            try:
                answer = call()
                print(f"{name}: {answer.text} {len(answer.payload)} {answer.count} {answer.caller}")
            except grpc.RpcError as error:
                print(f"{name}: {error.code().name}")

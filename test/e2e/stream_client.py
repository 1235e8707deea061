"""Streams what it reads to test.Echo/ClientStream: stream_client.py TARGET AUTHORITY KEY.

Each line of its input is a message; the end of the input ends the stream. Prints "OK COUNT SEQUENCE", or "CODE DETAILS".
"""

import os
import sys
import tempfile

import grpc
from grpc_tools import protoc

protos = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
target, authority, key = sys.argv[1:4]
with tempfile.TemporaryDirectory() as out:
    if protoc.main(["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}", "echo.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    import echo_pb2
    import echo_pb2_grpc

    with grpc.insecure_channel(target, options=[("grpc.default_authority", authority)]) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        lines = (echo_pb2.EchoRequest(text=line.rstrip("\n")) for line in iter(sys.stdin.readline, ""))
        try:
            answer, call = stub.ClientStream.with_call(lines, metadata=[("idempotency-key", key)], timeout=60)
            print("OK", answer.count, dict(call.trailing_metadata()).get("ashlar-sequence"))
        except grpc.RpcError as error:
            print(error.code().name, error.details())

"""Calls test.Echo/Unary N times through an outbound socket: echo_client.py TARGET AUTHORITY N.

Prints "VERSION CALLER" for each answer; ends with 1 at the first error.
"""

import os
import sys
import tempfile

import grpc
from grpc_tools import protoc

here = os.path.dirname(os.path.abspath(__file__))
with tempfile.TemporaryDirectory() as out:
    if protoc.main(["protoc", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", "echo.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    import echo_pb2
    import echo_pb2_grpc

    target, authority, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with grpc.insecure_channel(target, options=[("grpc.default_authority", authority)]) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        for index in range(count):
            answer = stub.Unary(echo_pb2.EchoRequest(text=str(index)), timeout=10)
            assert answer.text == str(index)
            print(answer.version, answer.caller)

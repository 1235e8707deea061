"""Follows a journal through an outbound socket: feed_client.py PROTO-FOLDER TARGET AUTHORITY FROM COUNT.

Prints a line of JSON for each of COUNT events; at an error "CODE DETAILS", and ends with 1.
"""

import json
import sys
import tempfile

import grpc
from grpc_tools import protoc

protos, target, authority, start, count = sys.argv[1:6]
with tempfile.TemporaryDirectory() as out:
    name = "ashlar/v1/feed.proto"
    if protoc.main(["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}", name]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    from ashlar.v1 import feed_pb2, feed_pb2_grpc

    left = int(count)
    with grpc.insecure_channel(target, options=[("grpc.default_authority", authority)]) as channel:
        stub = feed_pb2_grpc.JournalFeedServiceStub(channel)
        try:
            for response in stub.Follow(feed_pb2.FollowRequest(**{"from": int(start)})):
                if not response.HasField("event"):
                    continue
                event = response.event
                request = b"".join(event.request).hex()
                print(json.dumps([event.sequence, event.position, response.next, event.method, event.code, request]))
                left -= 1
                if left == 0:
                    break
        except grpc.RpcError as error:
            print(error.code().name, error.details())
            sys.exit(1)

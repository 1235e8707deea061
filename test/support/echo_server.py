"""Serves test.Echo/Unary over TLS on loopback: echo_server.py CERT KEY. Prints "ready PORT"; answers with the request's bytes.

The first fields of the request and of the answer are the same.
"""

import sys
from concurrent import futures

import grpc


def read(path):
    with open(path, "rb") as file:
        return file.read()


def unary(request, context):
    context.set_trailing_metadata((("x-python", "yes"), ("ashlar-revision", "77")))
    return request


handlers = {"Unary": grpc.unary_unary_rpc_method_handler(unary)}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
security = grpc.ssl_server_credentials([(read(sys.argv[2]), read(sys.argv[1]))])
port = server.add_secure_port("127.0.0.1:0", security)
server.start()
print("ready", port, flush=True)
server.wait_for_termination()

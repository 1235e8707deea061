"""A client of the admin API that shares no code with Ashlar: admin-python.py ADMIN.JSON PROTO-FOLDER.

Publishes, activates, rolls back and reads errors with their details. Prints one JSON object with what it saw.
"""

import json
import os
import sys
import tempfile
import time

import grpc
import grpc_tools
from google.protobuf.wrappers_pb2 import UInt64Value
from grpc_tools import protoc

# google.rpc as far as Ashlar uses it: https://github.com/googleapis/googleapis/tree/master/google/rpc
WELL_KNOWN = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
RPC_PROTO = """
syntax = "proto3";
package google.rpc;
message AnyMessage { string type_url = 1; bytes value = 2; }
message Status { int32 code = 1; string message = 2; repeated AnyMessage details = 3; }
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
message BadRequest {
  message FieldViolation { string field = 1; string description = 2; }
  repeated FieldViolation field_violations = 1;
}
"""

POLICY = """
kind: Service
name: payments
methods: [shop.Payments/Charge, shop.Payments/Refund]
---
kind: Service
name: checkout
---
kind: Authorization
name: checkout-charges
service: payments
allow:
  - from: [checkout]
    methods: [%s]
"""


def generate(protos, out):
    rpc = os.path.join(out, "rpc")
    os.mkdir(rpc)
    with open(os.path.join(rpc, "rpc_status.proto"), "w", encoding="utf-8") as file:
        file.write(RPC_PROTO)
    names = [f"ashlar/v1/{name}" for name in sorted(os.listdir(os.path.join(protos, "ashlar/v1")))]
    args = ["protoc", f"-I{protos}", f"-I{WELL_KNOWN}", f"-I{rpc}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main([*args, *names, "rpc_status.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        context = json.load(file)
    with tempfile.TemporaryDirectory() as out:
        generate(sys.argv[2], out)
        import rpc_status_pb2 as rpc
        from ashlar.v1 import admin_pb2 as messages
        from ashlar.v1 import admin_pb2_grpc as services

        credentials = grpc.ssl_channel_credentials(
            context["ca"].encode(), context["key"].encode(), context["certificate"].encode()
        )
        seen = {}

        def files(methods):
            return [messages.PolicyFile(name="shop.yaml", content=POLICY % methods)]

        def failure(call):
            try:
                call()
            except grpc.RpcError as error:
                status = rpc.Status()
                for key, value in error.trailing_metadata():
                    if key == "grpc-status-details-bin":
                        status.ParseFromString(value)
                found = {"code": error.code().name, "message": error.details(), "violations": []}
                for detail in status.details:
                    if detail.type_url.endswith("google.rpc.ErrorInfo"):
                        info = rpc.ErrorInfo.FromString(detail.value)
                        found.update(reason=info.reason, domain=info.domain)
                    if detail.type_url.endswith("google.rpc.BadRequest"):
                        bad = rpc.BadRequest.FromString(detail.value)
                        found["violations"] = [violation.field for violation in bad.field_violations]
                return found
            return None

        with grpc.secure_channel(context["admin"], credentials) as channel:
            admin = services.AdminServiceStub(channel)
            watch = admin.WatchActivations(messages.WatchActivationsRequest(from_epoch=1), timeout=60)

            seen["rollbackOfNothing"] = failure(lambda: admin.Rollback(messages.RollbackRequest(), timeout=10))

            bad = [messages.PolicyFile(name="bad.yaml", content="kind: Service\nname: payments\nmethds: []\n")]
            refused = admin.PublishRevision(messages.PublishRevisionRequest(files=bad), timeout=10)
            finding = refused.findings[0]
            seen["refused"] = [refused.created, refused.HasField("revision"), finding.file, finding.line, finding.column]

            started = time.monotonic()
            first = admin.PublishRevision(
                messages.PublishRevisionRequest(files=files("shop.Payments/Charge"), message="first", parent=UInt64Value(value=0)), timeout=10
            )
            seen["publishMs"] = round((time.monotonic() - started) * 1000)
            seen["first"] = [first.created, first.revision.number, first.revision.author]
            again = admin.PublishRevision(messages.PublishRevisionRequest(files=files("shop.Payments/Charge")), timeout=10)
            seen["again"] = [again.created, again.revision.number]
            second = admin.PublishRevision(messages.PublishRevisionRequest(files=files("shop.Payments/Refund")), timeout=10)
            seen["second"] = [second.revision.number, second.revision.parent == first.revision.digest]
            seen["stale"] = failure(
                lambda: admin.PublishRevision(messages.PublishRevisionRequest(files=files('"*"'), parent=UInt64Value(value=1)), timeout=10)
            )
            seen["noFiles"] = failure(lambda: admin.PublishRevision(messages.PublishRevisionRequest(), timeout=10))

            seen["unknown"] = failure(
                lambda: admin.ActivateRevision(messages.ActivateRevisionRequest(revision=9), timeout=10)
            )
            epochs = []
            for number in (1, 2):
                active = admin.ActivateRevision(messages.ActivateRevisionRequest(revision=number, reason="go"), timeout=40)
                epochs.append([active.activation.epoch, active.activation.revision])
                seen["activateMs"] = active.took_ms
            seen["epochs"] = epochs

            def access(method):
                question = messages.CheckAccessRequest(caller="checkout", service="payments", method=method)
                answer = admin.CheckAccess(question, timeout=10)
                return [answer.allowed, answer.rule, answer.revision, answer.epoch]

            seen["accessBefore"] = access("shop.Payments/Charge")
            rolled = admin.Rollback(messages.RollbackRequest(reason="wrong", wait=True), timeout=40)
            seen["rolledBack"] = [rolled.activation.epoch, rolled.activation.revision, rolled.activation.rollback_of]
            seen["rollbackMs"] = rolled.took_ms
            seen["accessAfter"] = access("shop.Payments/Charge")
            ghost = messages.CheckAccessRequest(caller="ghost", service="nowhere", method="a.B/C")
            answer = admin.CheckAccess(ghost, timeout=10)
            seen["ghost"] = [answer.allowed, answer.rule]

            seen["watched"] = [next(watch).activation.epoch for _ in range(3)]
            watch.cancel()
            diff = admin.DiffRevisions(
                messages.DiffRevisionsRequest(
                    **{"from": messages.DiffSide(revision=1)}, to=messages.DiffSide(revision=2)
                ),
                timeout=10,
            )
            seen["access"] = sorted([one.caller, one.method, one.change] for one in diff.access)
            audit = admin.ListAudit(messages.ListAuditRequest(), timeout=10)
            seen["audit"] = [[entry.action, entry.outcome] for entry in audit.entries]
            seen["chainHolds"] = audit.chain_holds
            status = admin.GetStatus(messages.GetStatusRequest(), timeout=10)
            seen["status"] = [status.mesh, status.epoch, status.revision, status.head_revision, status.healthy]
        print(json.dumps(seen))


main()

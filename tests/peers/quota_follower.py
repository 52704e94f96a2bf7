"""A client of two quota servers that knows nothing but the .proto: follows the one that leads, and finds its share there when
that was killed.

Called with the folder of the .proto, a folder to put what is generated, the address of a server that does not lead, and that
of the one that does. Goes on to the other one when it reads a line. Fails by its assertions.
"""

import importlib
import sys
import time

import grpc
from grpc_tools import protoc

protos, generated, follower, leader = sys.argv[1:5]
# What grpcio-status would bring.
with open(f"{generated}/details.proto", "w") as file:
    file.write('''syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
''')

name = "sluicegate/quota/v1/quota"
arguments = ["protoc", f"-I{protos}", f"-I{generated}", f"-I{protoc.__file__.rsplit('/', 1)[0]}/_proto",
             f"--python_out={generated}", f"--grpc_python_out={generated}", f"{name}.proto", "details.proto"]
assert protoc.main(arguments) == 0
sys.path.insert(0, generated)
quota_pb2 = importlib.import_module(name.replace("/", ".") + "_pb2")
quota_pb2_grpc = importlib.import_module(name.replace("/", ".") + "_pb2_grpc")

details_pb2 = importlib.import_module("details_pb2")

PATIENCE = 60


class Client:
    def __init__(self, channel, name):
        self.quota, self.name = quota_pb2_grpc.QuotaStub(channel), name
        registered = self.quota.RegisterClient(
            quota_pb2.RegisterClientRequest(client_id=name, instance="one run"), timeout=PATIENCE)
        self.epoch, self.applied = registered.epoch, 0

    def beat(self):
        interest = quota_pb2.Interest(resource_id="r", applied_version=self.applied)
        request = quota_pb2.HeartbeatRequest(
            client_id=self.name, instance="one run", interests=[interest], epoch=self.epoch)
        allocation = self.quota.Heartbeat(request, timeout=PATIENCE).allocations[0]
        self.applied = allocation.version
        return allocation


with grpc.insecure_channel(follower) as other:
    try:
        Client(other, "python")
        raise AssertionError("it leads")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        info = details_pb2.ErrorInfo()
        assert any(detail.Unpack(info) for detail in details_pb2.Status.FromString(details).details)
        assert (info.reason, info.domain) == ("NOT_LEADER", "quota.sluicegate"), info
        assert info.metadata["leader"] == f"http://{leader}", info
    with grpc.insecure_channel(leader) as channel:
        held = Client(channel, "python").beat()
        print(f"holds {held.rate_micros // 1000000} of {held.limit_per_second}", flush=True)
        sys.stdin.readline()
    # On a busy machine the leader may have to begin again.
    end = time.monotonic() + PATIENCE
    while True:
        try:
            Client(other, "newcomer").beat()
            fair = Client(other, "python").beat()
            assert not fair.learning, fair
            if fair.rate_micros * 2 <= fair.limit_per_second * 1000000 or time.monotonic() > end:
                break
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE and time.monotonic() < end, error
        time.sleep(0.1)
    print(f"then {fair.rate_micros // 1000000} of {fair.limit_per_second}", flush=True)

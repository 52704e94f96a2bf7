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


addresses, redirected = [follower, leader], 0


class Client:
    def __init__(self, address, name):
        self.quota, self.name = quota_pb2_grpc.QuotaStub(channels[address]), name
        registered = self.quota.RegisterClient(
            quota_pb2.RegisterClientRequest(client_id=name, instance="one run"), timeout=PATIENCE)
        self.epoch = registered.epoch

    def beat(self):
        interest = quota_pb2.Interest(resource_id="r", applied_version=applied.get((self.name, self.epoch), 0))
        request = quota_pb2.HeartbeatRequest(
            client_id=self.name, instance="one run", interests=[interest], epoch=self.epoch)
        allocation = self.quota.Heartbeat(request, timeout=PATIENCE).allocations[0]
        applied[self.name, self.epoch] = allocation.version
        return allocation


def leader_of(error):
    """Where the leader is, as a server says that does not lead; nothing if it does not know, or is not there."""
    global redirected
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return None
    info = details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in details_pb2.Status.FromString(details).details), error
    if (info.reason, info.domain) != ("NOT_LEADER", "quota.sluicegate") or "leader" not in info.metadata:
        return None
    redirected += 1
    return info.metadata["leader"].removeprefix("http://")


def beat(name, address):
    """A heartbeat at the server that leads, beginning at the address of some server. It may change on a busy machine."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return Client(address, name).beat()
        except grpc.RpcError as error:
            assert time.monotonic() < end, error
            other = addresses[1 - addresses.index(address)]
            address = leader_of(error) or other
            time.sleep(0.1)


def beat_until(names, share):
    """Heartbeats of all until the last one's share is that."""
    end = time.monotonic() + PATIENCE
    while True:
        allocation = [beat(name, follower) for name in names][-1]
        if allocation.rate_micros == share * 1000000:
            return allocation
        assert time.monotonic() < end, allocation
        time.sleep(0.1)


applied = {}
channels = {address: grpc.insecure_channel(address) for address in addresses}
# One of the two does not lead, and says who does.
while not redirected:
    for address in addresses:
        beat("python", address)
held = beat_until(["python"], 1048576)
print(f"holds {held.rate_micros // 1000000} of {held.limit_per_second}", flush=True)
sys.stdin.readline()
fair = beat_until(["newcomer", "python"], 524288)
print(f"then {fair.rate_micros // 1000000} of {fair.limit_per_second}", flush=True)

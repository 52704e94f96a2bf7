"""A client of the fleet quota that knows nothing but its .proto: grpcio, its health checking and reflection.

Called with the folder of the .proto, a folder to put what is generated, and the server's address. Fails by
its assertions.
"""

import importlib
import sys

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

protos, generated, address = sys.argv[1:4]
name = "sluicegate/quota/v1/quota"
arguments = ["protoc", f"-I{protos}", f"-I{protoc.__file__.rsplit('/', 1)[0]}/_proto",
             f"--python_out={generated}", f"--grpc_python_out={generated}", f"{name}.proto"]
assert protoc.main(arguments) == 0
sys.path.insert(0, generated)
quota_pb2 = importlib.import_module(name.replace("/", ".") + "_pb2")
quota_pb2_grpc = importlib.import_module(name.replace("/", ".") + "_pb2_grpc")

PATIENCE = 20

with grpc.insecure_channel(address) as channel:
    quota = quota_pb2_grpc.QuotaStub(channel)

    # Health, as probes ask it.
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "sluicegate.quota.v1.Quota"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer
    try:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=PATIENCE)
        raise AssertionError("an unknown service has no health")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error

    # Reflection, as grpcurl asks it.
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "sluicegate.quota.v1.Quota" in database.get_services(), database.get_services()
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("sluicegate.quota.v1.Quota")
    assert {method.name for method in service.methods} == {
        "RegisterClient", "Heartbeat", "GetAllocation", "SetResourceLimit", "UnregisterClient", "ListResources",
        "ListClients", "DeleteResourceLimit", "GetResource", "ResetResourceLimit", "WatchAllocations"}, list(service.methods)
    assert pool.FindMessageTypeByName("sluicegate.quota.v1.Allocation").fields_by_name["rate_micros"].number == 3

    # Two clients share a limit.
    limit = quota_pb2.RateLimit(per_second=100, unit=quota_pb2.UNIT_REQUESTS)
    quota.SetResourceLimit(quota_pb2.SetResourceLimitRequest(resource_id="api", rate_limit=limit), timeout=PATIENCE)

    def beat(client, applied=0, epoch=0):
        interest = quota_pb2.Interest(resource_id="api", applied_version=applied)
        request = quota_pb2.HeartbeatRequest(client_id=client, interests=[interest], epoch=epoch)
        return quota.Heartbeat(request, timeout=PATIENCE)

    one = quota.RegisterClient(quota_pb2.RegisterClientRequest(client_id="python-1"), timeout=PATIENCE)
    assert one.heartbeat_timeout.seconds == 30
    first = beat("python-1")
    assert [a.rate_micros for a in first.allocations] == [100_000_000], first

    changes = quota.WatchAllocations(quota_pb2.WatchAllocationsRequest(client_id="python-1"), timeout=PATIENCE)
    assert next(changes).allocations[0].rate_micros == 100_000_000
    quota.RegisterClient(quota_pb2.RegisterClientRequest(client_id="python-2"), timeout=PATIENCE)
    newcomer = beat("python-2").allocations[0]
    assert newcomer.rate_micros == 0 and newcomer.target_micros == 50_000_000, newcomer
    assert newcomer.HasField("retry_after")
    lower = next(changes).allocations[0]
    assert lower.rate_micros == 50_000_000, lower
    changes.cancel()
    beat("python-1", applied=lower.version, epoch=one.epoch)
    read = quota.GetAllocation(
        quota_pb2.GetAllocationRequest(client_id="python-2", resource_id="api"), timeout=PATIENCE)
    assert read.rate_micros == 50_000_000 and read.clients == 2, read

    clients = quota.ListClients(quota_pb2.ListClientsRequest(), timeout=PATIENCE).clients
    assert [client.client_id for client in clients] == ["python-1", "python-2"]

    # Refusals are standard, with details.
    for call, request, code in [
        (quota.Heartbeat, quota_pb2.HeartbeatRequest(client_id="nobody"), grpc.StatusCode.NOT_FOUND),
        (quota.RegisterClient, quota_pb2.RegisterClientRequest(client_id=""), grpc.StatusCode.INVALID_ARGUMENT),
        (quota.RegisterClient, quota_pb2.RegisterClientRequest(client_id="python-1"), grpc.StatusCode.ALREADY_EXISTS),
        (quota.GetAllocation, quota_pb2.GetAllocationRequest(client_id="python-1", resource_id="other"),
         grpc.StatusCode.FAILED_PRECONDITION),
    ]:
        try:
            call(request, timeout=PATIENCE)
            raise AssertionError(f"{request} passes")
        except grpc.RpcError as error:
            assert error.code() == code, error
            assert any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata()), error
    unknown = channel.unary_unary("/sluicegate.quota.v1.Other/Call", request_serializer=lambda _: b"",
                                  response_deserializer=lambda data: data)
    try:
        unknown(None, timeout=PATIENCE)
        raise AssertionError("an unknown service answers")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

    # The server keeps a caller's deadline: it ends the stream itself.
    late = quota.WatchAllocations(quota_pb2.WatchAllocationsRequest(), timeout=1)
    try:
        for _ in late:
            pass
        raise AssertionError("a stream ends without a word")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error

    for client in ["python-1", "python-2"]:
        quota.UnregisterClient(quota_pb2.UnregisterClientRequest(client_id=client), timeout=PATIENCE)
    assert not quota.ListClients(quota_pb2.ListClientsRequest(), timeout=PATIENCE).clients
    # Freed at once: the whole limit for who comes now.
    quota.RegisterClient(quota_pb2.RegisterClientRequest(client_id="python-3"), timeout=PATIENCE)
    assert beat("python-3").allocations[0].rate_micros == 100_000_000

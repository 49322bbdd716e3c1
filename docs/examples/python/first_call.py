"""The first call: points for a receipt, then the same request again, as after a lost connection."""

import os
import sys
import uuid
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from loyalty.v1 import transaction_service_pb2 as messages
from loyalty.v1.transaction_service_pb2_grpc import TransactionServiceStub

ADDRESS = os.environ.get("LOYALTY_ADDRESS", "127.0.0.1:50051")
CARD = os.environ.get("LOYALTY_CARD", "demo-0001")
SERVICE_CONFIG = Path("../../client-service-config.json")


def main() -> None:
    options = [
        ("grpc.service_config", SERVICE_CONFIG.read_text()),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    with grpc.insecure_channel(ADDRESS, options=options) as channel:
        stub = TransactionServiceStub(channel)
        credentials = (("authorization", f"Bearer {os.environ['LOYALTY_API_KEY']}"),)
        request = sale()
        try:
            first = stub.Accrue(request, metadata=credentials)
            repeat, call = stub.Accrue.with_call(request, metadata=credentials)
        except grpc.RpcError as error:
            sys.exit(f"failed: {reason(error)}")
    print(f"applied: {first.earned_points} points earned, balance {first.balance_points}")
    replayed = dict(call.trailing_metadata()).get("loyalty-replayed", "false")
    print(f"repeated: replayed {replayed}, same operation {str(repeat == first).lower()}")


def sale() -> messages.AccrueRequest:
    """Made once for a sale and kept with it until it is answered."""
    request = messages.AccrueRequest(idempotency_key=str(uuid.uuid4()), card=CARD)
    request.store_id, request.terminal_id = "7", "2"
    request.occurred_at.GetCurrentTime()
    request.receipt.receipt_id = "4711"
    request.receipt.total_minor = 123_400
    return request


def reason(error: grpc.RpcError) -> str:
    """The ErrorReason of the service, else gRPC's code."""
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    if status and any(detail.Unpack(info) for detail in status.details):
        return info.reason
    return error.code().name


if __name__ == "__main__":
    main()

"""Makes loyalty/v1/*_pb2.py from the contract."""

import sys
from importlib.resources import files
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

PROTOS = Path("../../../protos")
# google/protobuf/*.proto come with grpcio-tools, google/rpc/*.proto with googleapis-common-protos.
INCLUDES = (PROTOS, files("grpc_tools") / "_proto", Path(status_pb2.__file__).parents[2])


def main() -> int:
    sources = [str(source) for source in sorted(PROTOS.glob("loyalty/v1/*.proto"))]
    includes = [f"-I{folder}" for folder in INCLUDES]
    return int(protoc.main(["protoc", *includes, "--python_out=.", "--grpc_python_out=.", *sources]))


if __name__ == "__main__":
    sys.exit(main())

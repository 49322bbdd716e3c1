"""Makes loyalty/v1/*_pb2.py from the contract."""

import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path("../../../protos")
# google/protobuf comes with grpcio-tools, google/rpc with googleapis-common-protos.
INCLUDES = (PROTOS, files("grpc_tools") / "_proto", sysconfig.get_path("purelib"))


def main() -> int:
    sources = [str(source) for source in sorted(PROTOS.glob("loyalty/v1/*.proto"))]
    includes = [f"-I{folder}" for folder in INCLUDES]
    return int(protoc.main(["protoc", *includes, "--python_out=.", "--grpc_python_out=.", *sources]))


if __name__ == "__main__":
    sys.exit(main())

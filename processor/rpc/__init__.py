"""The outer end of the hot path: the only place that knows protobuf and gRPC codes."""

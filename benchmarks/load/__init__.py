"""A load generator that speaks HTTP/2 by hand: a gRPC library takes more CPU time a call than the service."""

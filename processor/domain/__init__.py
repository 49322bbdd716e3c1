"""Rules as pure functions over plain data: no I/O, no clock, no protobuf, no SQL."""

"""Fields of messages as bytes, to be put together once and sent many times."""

from librt.strings import BytesWriter

from processor.rpc import wire


def tag(number: int, *, has_length: bool = False) -> bytes:
    """The tag of a field of integers, or of one with a length."""
    return varint(wire.tag(number, has_length=has_length))


def varint(number: int) -> bytes:
    """An integer."""
    writer = BytesWriter()
    wire.write_varint(writer, number)
    return writer.getvalue()


def field(field_tag: bytes, content: bytes) -> bytes:
    """A field with a length."""
    return field_tag + varint(len(content)) + content

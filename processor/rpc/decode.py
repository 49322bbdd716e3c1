"""Bytes to messages; bytes that are none are refused with the place of the fault, where it can be told."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from processor.domain.outcomes import Outcome
from processor.rpc.status import Refused, Violation

M = TypeVar("M", bound=Message)

_BYTES_SHOWN: Final = 8


def decode(message_type: type[M], data: bytes) -> M:
    """Raises Refused."""
    try:
        return message_type.FromString(data)
    except DecodeError:
        raise Refused(Outcome.MALFORMED_REQUEST, violations=_faults(message_type, data)) from None


def _faults(message_type: type[M], data: bytes) -> list[Violation]:
    descriptor = message_type.DESCRIPTOR
    try:
        texts = _texts(_lenient_type(descriptor).FromString(data))
    except DecodeError:
        texts = iter(())
    wrong = [Violation(path, problem) for path, text in texts if (problem := _utf8_problem(text))]
    return wrong or [Violation("", f"must be a protobuf message of type {descriptor.full_name}")]


@cache
def _lenient_type(descriptor: Descriptor) -> Any:
    """The same message type with every string declared as bytes, so that wrong UTF-8 can be looked at."""
    pool = DescriptorPool()
    _add_lenient_file(pool, descriptor.file, set())
    return GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _add_lenient_file(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add_lenient_file(pool, dependency, added)
    definition = FileDescriptorProto()
    file.CopyToProto(definition)
    for message in definition.message_type:
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_STRING:
                field.type = FieldDescriptorProto.TYPE_BYTES
    pool.Add(definition)


def _texts(message: Message, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Every bytes field below `message`, with its path."""
    for field, value in message.ListFields():
        for path, part in _parts(field, value, prefix + field.name):
            if isinstance(part, Message):
                yield from _texts(part, f"{path}.")
            elif isinstance(part, bytes):
                yield path, part


def _parts(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if field.is_repeated:
        yield from ((f"{path}[{index}]", part) for index, part in enumerate(value))
    else:
        yield path, value


def _utf8_problem(text: bytes) -> str | None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        wrong = text[error.start : error.start + _BYTES_SHOWN].hex(" ")
        return f"must be UTF-8; byte {error.start + 1} begins what is not: {wrong}"
    return None

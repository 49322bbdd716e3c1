"""To which part of a call's way a sampled stack belongs, and which functions take the most time."""

from typing import Final

import pytest

from benchmarks.profile.stacks import Part, functions, part_of, read_stacks, shares

LOOP: Final = """\
\t 10f000 __pyx_f_6uvloop_4loop_6Handle__run (/venv/uvloop/loop.cpython-311-x86_64-linux-gnu.so)
\t 7f3bd8 [unknown] ([unknown])
"""
LANE: Final = f"""\
\t 1e1234 CPyDef_ledger____settle_alone_Ledger_gen_____mypyc_generator_helper__ (/build/loyalty__mypyc.so)
\t 1dc107 CPyDef_lane____apply_Lane_gen_____mypyc_generator_helper__ (/build/loyalty__mypyc.so)
{LOOP}"""
SETTLED: Final = f"\t 277e85 CPyDef_settlement___Settlement___settle (/build/loyalty__mypyc.so)\n{LANE}"
INTERPRETED: Final = "\t fdc36 _PyEval_EvalFrameDefault (/lib/libpython3.11.so.1.0)\n"
PROTOCOL: Final = "\t 1a __pyx_f_7asyncpg_8protocol_BaseProtocol__write (/venv/protocol.cpython-311.so)\n"
MALLOC: Final = "\t 1a malloc (/lib/libc.so.6)\n"
STACKS: Final = (
    f"python\n{LOOP}",
    f"python\n{INTERPRETED}{LOOP}",
    "grpc-native-io\n\t 1a tokio::run (/venv/_native.abi3.so)\n",
    "python\n\t 1a malloc (/lib/libc.so.6)\n\t 1b grpc_poll (/venv/cygrpc.cpython-311.so)\n",
    f"python\n\t 1a CPyDef_unary___UnaryMethod___start (/build/loyalty__mypyc.so)\n{LOOP}",
    f"python\n{MALLOC}\t 1b CPyDef_fingerprint___fingerprint (/build/loyalty__mypyc.so)\n{SETTLED}",
    f"python\n{SETTLED}",
    f"python\n{INTERPRETED}{LANE}",
    f"python\n{PROTOCOL}{LOOP}",
    f"python\n{LANE}",
)
READ: Final = list(read_stacks("\n".join(STACKS).splitlines()))


@pytest.mark.parametrize(
    "number, part",
    [
        *enumerate((Part.REST, Part.REST, Part.GRPC, Part.GRPC, Part.CALL)),
        *enumerate((Part.SETTLING, Part.SETTLING, Part.DATABASE, Part.DATABASE, Part.DATABASE), 5),
    ],
)
def test_a_stack_belongs_to_a_part(number: int, part: Part) -> None:
    assert part_of(READ[number]) is part


def test_shares_are_of_all_samples() -> None:
    assert shares(READ) == {
        Part.SETTLING: 0.2,
        Part.DATABASE: 0.3,
        Part.CALL: 0.1,
        Part.GRPC: 0.2,
        Part.REST: 0.2,
    }
    assert set(shares([]).values()) == {0}


def test_time_is_that_of_the_innermost_who_has_a_name() -> None:
    assert dict(functions(READ, 20)) == {
        "uvloop": 0.1,
        "interpreted Python": 0.2,
        "pygrpc-native": 0.1,
        "grpcio": 0.1,
        "UnaryMethod.start (unary)": 0.1,
        "fingerprint (fingerprint)": 0.1,
        "Settlement.settle (settlement)": 0.1,
        "asyncpg": 0.1,
        "_settle_alone_Ledger (ledger)": 0.1,
    }

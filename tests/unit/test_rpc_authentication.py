"""API keys: who gets in, from when, and until when."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from processor.domain.api_key import format_api_key, hash_secret
from processor.domain.chain import ApiKey
from processor.domain.failures import StorageUnavailable
from processor.rpc.authentication import Authenticator
from processor.rpc.status import Refused
from tests.unit.rpc_harness import AUTHORIZATION, CHAIN_ID, KEY_ID, SECRET, Harness, Keys, failure, running
from tests.unit.rpc_requests import accrue_request

KEY = format_api_key(KEY_ID, SECRET)
NEW_ID, NEW_SECRET = "newnewnew012", "n" * 43
NEW_KEY = ApiKey(NEW_ID, CHAIN_ID, hash_secret(NEW_SECRET))
NEW_AUTHORIZATION = ("authorization", f"Bearer {format_api_key(NEW_ID, NEW_SECRET)}")


@pytest.fixture
async def rpc() -> AsyncIterator[Harness]:
    async with running() as harness:
        yield harness


async def reason(rpc: Harness, metadata: Sequence[tuple[str, str]]) -> str:
    failed = await failure(rpc.stub.Accrue(accrue_request(), metadata=metadata))
    assert failed.code is grpc.StatusCode.UNAUTHENTICATED
    assert not rpc.queue.submitted
    return failed.reason


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_a_key_opens_the_door_again_and_again(rpc: Harness, scheme: str) -> None:
    for _ in range(3):
        await rpc.stub.Accrue(accrue_request(), metadata=(("authorization", f"{scheme} {KEY}"),))
    assert rpc.keys.refreshes == 0


@pytest.mark.parametrize("metadata", [(), (("authorization", ""),), (("x-api-key", KEY),)])
async def test_a_call_without_a_key(rpc: Harness, metadata: Any) -> None:
    assert await reason(rpc, metadata) == "API_KEY_MISSING"


@pytest.mark.parametrize(
    "header",
    [
        KEY,
        f"Basic {KEY}",
        f"Bearer{KEY}",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY[:-1]}x",
        f"Bearer {KEY.upper()}",
        "Bearer",
        "Bearer lp__",
        f"Bearer lp_{KEY_ID}_",
        f"Bearer lp_{'z' * 12}_{SECRET}",
        "Bearer " + "x" * 4000,
    ],
)
async def test_a_key_that_is_wrong(rpc: Harness, header: str) -> None:
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))
    rpc.queue.submitted.clear()
    assert await reason(rpc, (("authorization", header),)) == "API_KEY_INVALID"


async def test_a_revoked_key_is_refused_at_once(rpc: Harness) -> None:
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))
    rpc.queue.submitted.clear()
    del rpc.keys.known[KEY_ID]
    assert await reason(rpc, (AUTHORIZATION,)) == "API_KEY_INVALID"


async def test_a_key_whose_secret_was_changed_is_refused(rpc: Harness) -> None:
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))
    rpc.queue.submitted.clear()
    rpc.keys.known[KEY_ID] = ApiKey(KEY_ID, CHAIN_ID, hash_secret("other"))
    assert await reason(rpc, (AUTHORIZATION,)) == "API_KEY_INVALID"


async def test_the_same_key_read_anew_stays_in_force(rpc: Harness) -> None:
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))
    rpc.keys.known[KEY_ID] = ApiKey(KEY_ID, CHAIN_ID, hash_secret(SECRET))
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))


async def test_a_key_made_a_moment_ago_works_for_all_its_first_calls(rpc: Harness) -> None:
    rpc.keys.unseen[NEW_ID] = NEW_KEY
    calls = [rpc.stub.Accrue(accrue_request(str(n)), metadata=(NEW_AUTHORIZATION,)) for n in range(20)]
    await asyncio.gather(*calls)
    assert rpc.keys.refreshes == 1


async def test_a_key_made_just_after_a_refresh_works_too(rpc: Harness) -> None:
    assert await reason(rpc, (("authorization", f"Bearer lp_{'z' * 12}_{SECRET}"),)) == "API_KEY_INVALID"
    rpc.keys.unseen[NEW_ID] = NEW_KEY
    await rpc.stub.Accrue(accrue_request(), metadata=(NEW_AUTHORIZATION,))
    assert rpc.keys.refreshes == 2


async def test_guessed_keys_share_refreshes(rpc: Harness) -> None:
    headers = [("authorization", f"Bearer lp_{number:012}_{SECRET}") for number in range(50)]
    reasons = await asyncio.gather(*[reason(rpc, (header,)) for header in headers])
    assert set(reasons) == {"API_KEY_INVALID"}
    assert rpc.keys.refreshes <= 2


async def test_an_unknown_key_while_the_directory_is_out_of_reach(rpc: Harness) -> None:
    rpc.keys.failure = StorageUnavailable("no route")
    failed = await failure(rpc.stub.Accrue(accrue_request(), metadata=(NEW_AUTHORIZATION,)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    await rpc.stub.Accrue(accrue_request(), metadata=(AUTHORIZATION,))


async def test_the_memory_of_verified_headers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.rpc.authentication._VERIFIED_MAX", 3)
    authenticator = Authenticator(Keys())
    for spaces in range(20):
        header = "Bearer " + " " * spaces + KEY
        assert (await authenticator.caller([("authorization", header)])).chain_id == CHAIN_ID
        assert len(authenticator._verified) <= 3


async def test_binary_metadata_of_that_name_is_no_key() -> None:
    with pytest.raises(Refused, match="API_KEY_MISSING"):
        await Authenticator(Keys()).caller([("authorization", b"Bearer x")])

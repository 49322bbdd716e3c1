"""What a batch leaves to be saved."""

from processor.batch_state import BatchState
from processor.domain.account import Account
from processor.domain.batch import Loaded
from tests.history import accrual, decided


def test_accounts_are_saved_in_the_order_in_which_all_processes_lock_them() -> None:
    accounts = {member_id: Account(member_id, 0, 0, b"") for member_id in (7, 3, 5)}
    state = BatchState(Loaded(accounts, {}, {}, 0, {}, {}), (), has_repeats=False)
    for member_id in (5, 7, 3):
        [operation] = decided(1, [accrual(f"key-{member_id}", member_id)])
        state.append(operation, accounts[member_id], b"")
    assert [change.account.member_id for change in state.written().accounts] == [3, 5, 7]

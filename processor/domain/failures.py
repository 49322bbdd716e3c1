"""How storage can fail, in the words that the ledger acts on."""


class StorageFailure(Exception):
    """Base of all; the text is for the log, never for a till."""


class StorageUnavailable(StorageFailure):
    """PostgreSQL can't be reached or is shutting down; nothing was written."""


class BatchConflict(StorageFailure):
    """Another transaction stood in the way (deadlock, equal key); nothing was written. Run it again."""


class HomeMoved(StorageFailure):
    """The operations of a chain of several go to another partition by now; nothing was written."""


class OutcomeUnknown(StorageFailure):
    """The connection broke at COMMIT; the batch may be written. Run it again: the keys make it safe."""


class RowRejected(StorageFailure):
    """PostgreSQL refused a row of the batch for its contents; nothing was written."""

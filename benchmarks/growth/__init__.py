"""What a larger ledger costs: the same load on ledgers of several sizes, in one run."""

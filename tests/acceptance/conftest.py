"""Servers that the acceptance tests of a module share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--model-operations",
        type=int,
        default=2_000,
        metavar="N",
        help="operations that the model test generates and predicts, at least (default: 2,000)",
    )

"""`python -m processor` is the command line too."""

from processor.cli import main

main()

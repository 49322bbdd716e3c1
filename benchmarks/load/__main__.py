"""`python -m benchmarks.load`."""

# The processes of a load import this file too, under another name.
if __name__ == "__main__":
    from benchmarks.load.command import main

    main()

"""`python -m benchmarks.replay`."""

# Client processes import this file too, under another name.
if __name__ == "__main__":
    from benchmarks.replay.command import main

    main()

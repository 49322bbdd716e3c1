"""`python -m benchmarks.compare`."""

# Client processes import this file too, under another name.
if __name__ == "__main__":
    from benchmarks.compare.command import main

    main()

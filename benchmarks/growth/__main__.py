"""`python -m benchmarks.growth`."""

# Client processes import this file too, under another name.
if __name__ == "__main__":
    from benchmarks.growth.command import main

    main()

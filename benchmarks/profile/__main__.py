"""`python -m benchmarks.profile`."""

# Client processes import this file too, under another name.
if __name__ == "__main__":
    from benchmarks.profile.command import main

    main()

"""`python -m convbench`: the command line."""

from convbench.cli import main

if __name__ == "__main__":
    main()

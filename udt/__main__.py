"""``python -m udt`` is the command ``udt``."""

from udt.cli.app import main

if __name__ == "__main__":
    main()

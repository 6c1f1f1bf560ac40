"""``python -m fastsgd``."""
import sys

from fastsgd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m avse` is `avse`."""

from __future__ import annotations

import sys

from avse.cli import main

if __name__ == "__main__":
    sys.exit(main())

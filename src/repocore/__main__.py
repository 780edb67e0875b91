"""``python -m repocore`` is ``repocore``."""

from __future__ import annotations

from repocore.cli import main

if __name__ == "__main__":
    main()

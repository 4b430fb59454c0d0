"""``python -m runway`` is ``runway``."""

from runway.cli import main

raise SystemExit(main())

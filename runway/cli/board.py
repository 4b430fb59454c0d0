"""``runway board``: an index of all runs and reports in the browser."""

from __future__ import annotations

import argparse
import signal
from typing import Any

from runway.disk import expanded


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from runway.report.board import serve

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)  # so that TensorBoard ends, too
    serve(expanded(arguments.folder), arguments.port, live=arguments.live)
    return 0

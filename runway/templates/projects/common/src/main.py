"""Run one mode of an experiment: `python src/main.py --config C --mode prepare_data|train|test|eval --opts a.b=v …`."""

from runway.cli import main

raise SystemExit(main(mode_form=True))

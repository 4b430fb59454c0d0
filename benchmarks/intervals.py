"""How often a 95% interval holds the truth: ``python -m benchmarks.intervals [TEST SETS]``.

Test sets are drawn from a population whose accuracy, F1, mean loss and difference between two models are known; of
groups (films, speakers) the rows of one are alike. Each share must be within 93% to 97%; it is itself one of so many
test sets, and its own interval is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from runway.metrics import load_metric
from runway.uncertainty.comparisons import difference
from runway.uncertainty.intervals import wilson
from runway.uncertainty.sums import mean, ratio, share

ACCURACY, BETTER, BOTH = 0.85, 0.88, 0.80
"""Of the first model, of the second, and the share of the rows that both have right."""
ROWS, GROUPS = 500, 80


def accuracy(random: np.random.Generator) -> bool | None:
    """A share of right rows: Wilson's interval."""
    found = share(random.random(ROWS) < ACCURACY).interval()
    return found and found.holds(ACCURACY)


def paired(random: np.random.Generator) -> bool | None:
    """The difference of two models on the same rows."""
    chance = random.random(ROWS)
    first = chance < ACCURACY
    second = (chance < BOTH) | ((chance >= ACCURACY) & (chance < ACCURACY + BETTER - BOTH))
    found = difference(share(first).sums, share(second).sums, ratio).interval
    return found and found.holds(BETTER - ACCURACY)


def f1(random: np.random.Generator) -> bool | None:
    """F1 of a class of 0.3 of the rows, of which 0.8 are found; of the others 0.1 are taken for it."""
    true = random.random(ROWS) < 0.3
    guess = np.where(true, random.random(ROWS) < 0.8, random.random(ROWS) < 0.1)
    found = _F1.summed(predictions=guess.astype(int), references=true.astype(int))["f1"].interval()
    return found and found.holds(2 * 0.24 / (0.24 + 0.07 + 0.3))


def loss(random: np.random.Generator) -> bool | None:
    """A mean of skewed values (log-normal)."""
    found = mean(random.lognormal(0, 0.7, ROWS)).interval()
    return found and found.holds(float(np.exp(0.7**2 / 2)))


def of_groups(random: np.random.Generator) -> bool | None:
    """A mean over rows of which those of a group are alike: groups are drawn."""
    groups = np.repeat(np.arange(GROUPS), 10)
    values = random.normal(size=GROUPS)[groups] + random.normal(size=len(groups))
    found = mean(values).interval(groups=groups)
    return found and found.holds(0.0)


def rows_of_groups(random: np.random.Generator) -> bool | None:
    """The same with rows drawn, as if they were not alike: what ``group`` is for."""
    groups = np.repeat(np.arange(GROUPS), 10)
    found = mean(random.normal(size=GROUPS)[groups] + random.normal(size=len(groups))).interval()
    return found and found.holds(0.0)


CASES: dict[str, Callable[[np.random.Generator], bool | None]] = {
    "accuracy": accuracy,
    "difference, paired": paired,
    "F1": f1,
    "mean loss, skewed": loss,
    "mean over groups": of_groups,
}
_F1: Any = load_metric("f1")


def held(case: Callable[[np.random.Generator], bool | None], sets: int) -> int:
    """On how many of so many test sets the interval holds the truth."""
    return sum(bool(case(np.random.default_rng([7, number]))) for number in range(sets))


def run(sets: int) -> None:
    """Print a table."""
    print(f"95% intervals on {sets} simulated test sets of {ROWS} rows ({GROUPS} groups of 10)")
    for name, case in [*CASES.items(), ("the same without `group`", rows_of_groups)]:
        right = held(case, sets)
        spread = wilson(right, sets)
        assert spread is not None
        print(f"{name:26} holds the truth {right / sets:6.1%}   [{spread.low:.1%}, {spread.high:.1%}]")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 400)

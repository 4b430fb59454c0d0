"""The data of the composite-sine demo: noisy samples of functions that are made up of sines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runway import BaseTransform, register_transform_functor


@register_transform_functor
class SampleCompositeSine(BaseTransform):
    """Samples ``y = sin(2π·f₁·x) + a₂·sin(2π·f₂·x) + … + noise`` for x between -1 and 1."""

    def setup(
        self,
        frequencies: list[float],
        amplitudes: list[float] | None = None,
        rows: Mapping[str, int] | None = None,
        noise: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """Say which function.

        Args:
            frequencies: one for each sine.
            amplitudes: likewise; 1 where none are given.
            rows: how many samples each split has; those of ``test`` are without noise, in the order of x.
            noise: the standard deviation of what is added to y.
            seed: of the samples.
            **kwargs: the settings of BaseTransform.
        """
        super().setup(**kwargs)
        self.frequencies = frequencies
        self.amplitudes = amplitudes or [1.0] * len(frequencies)
        self.rows = dict(rows or {"train": 400, "valid": 100, "test": 200})
        self.noise = noise
        self.seed = seed

    def _call(self, data: None) -> Any:
        import numpy as np
        from datasets import Dataset, DatasetDict

        random = np.random.default_rng(self.seed)
        splits = {}
        for split, count in self.rows.items():
            is_test = split == "test"
            x = np.linspace(-1, 1, count) if is_test else random.uniform(-1, 1, count)
            waves = zip(self.amplitudes, self.frequencies, strict=True)
            y = sum(amplitude * np.sin(2 * np.pi * frequency * x) for amplitude, frequency in waves)
            noise = 0.0 if is_test else random.normal(0, self.noise, count)
            splits[split] = Dataset.from_dict({"x": x.astype(np.float32), "y": (y + noise).astype(np.float32)})
        return DatasetDict(splits)

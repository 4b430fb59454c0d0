"""What ran before never shows in what a node gives: seeds, and no cache of HF."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runway import BaseTransform
from tests.pipeline.small import node, pipeline

if TYPE_CHECKING:
    from tests.conftest import Project


class Draw(BaseTransform):
    def setup(self, n: int) -> None:
        self.n = n

    def _call(self, data: Any) -> Any:
        import numpy
        import torch

        return [random.random(), float(numpy.random.rand()), float(torch.rand(1))]


def test_the_seed_of_a_node_is_its_own(tmp_path: Path) -> None:
    import numpy
    import torch

    nodes = {f"output:{n}": node(Draw, n=n) for n in range(3)}
    together = pipeline(tmp_path / "a", nodes).apply_transforms()
    random.seed(1)
    numpy.random.seed(1)
    torch.manual_seed(1)
    python_state, numpy_state, torch_state = random.getstate(), numpy.random.get_state(), torch.random.get_rng_state()
    alone = pipeline(tmp_path / "b", nodes).get_data(["output:2"])
    assert alone["output:2"] == together["output:2"]
    assert len({str(draws) for draws in together.values()}) == 3
    # and training goes on as if no node had run
    assert random.getstate() == python_state
    assert all(numpy.array_equal(x, y) for x, y in zip(numpy.random.get_state(), numpy_state, strict=True))
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_mapping_a_method_over_rows_does_not_make_the_whole_config_count(project: Project) -> None:
    project.write(
        "src/data_ops/mapping.py",
        """
        from runway import BaseTransform, HFDatasetTransform, register_transform_functor


        @register_transform_functor
        class Rows(BaseTransform):
            def _call(self, data):
                from datasets import Dataset

                return Dataset.from_dict({"n": [1, 2, 3, 4]})


        @register_transform_functor
        class Scale(HFDatasetTransform):
            def setup(self, _num_proc=None, **kwargs):
                super().setup(**kwargs)
                self.num_proc = _num_proc

            def _call(self, data):
                return data.map(self.scale, num_proc=self.num_proc)

            def scale(self, row):
                return {"n": row["n"] * self.global_config.mine.factor}
        """,
    )
    nodes = {
        "input:Rows": {"transform_name": "Rows"},
        "output:Scaled": {"input_node": "input:Rows", "transform_name": "Scale"},
    }
    project.write("c.jsonnet", json.dumps({"mine": {"factor": 2}, "data_pipeline": {"transforms": nodes}}))

    def ran(*overrides: str) -> list[str]:
        return json.loads(project.run("prepare", "c.jsonnet", "--json", *overrides).stdout)["ran"]

    assert ran() == ["input:Rows", "output:Scaled"]
    assert ran("experiment_name=other", "some.thing=1") == []
    assert ran("mine.factor=3") == ["output:Scaled"]
    workers = "data_pipeline.transforms.output:Scaled.setup_kwargs._num_proc=2"
    assert ran("mine.factor=4", workers) == ["output:Scaled"], "and a worker process can read it"

"""RunwayExperiment: prepare the data, train, test and evaluate what one config describes."""

from __future__ import annotations

from runway.experiment.context import ExperimentContext, Result
from runway.experiment.evaluation import Evaluation
from runway.experiment.folders.reset import recover


class RunwayExperiment(ExperimentContext):
    """One experiment: a config, and the versions that were made of it. It takes what ``ExperimentContext`` takes.

    Training and testing are imported when they are asked for: who prepares data need not wait for Lightning.
    """

    def prepare_data(self, until: str | None = None) -> None:
        """Run what must run of the data pipeline.

        Args:
            until: only this node, and what it needs.
        """
        self.import_user_code(["data_ops"])
        self.pipeline().prepare(None if until is None else [until])

    def train(self) -> Result:
        """Train: a new version, with ``resume`` a version that was stopped, with ``reuse`` one that is the same.

        Raises:
            RunwayError: the config, the data or the machine does not allow it; no version is made then.
            Interrupted: it was stopped by Ctrl-C or SIGTERM, and can be resumed.
        """
        from runway.experiment.training import Training

        recover(self.folder)
        result = Training(self).run()
        self.reset = self.resume = self.reuse = False  # they were for this training, not for a test that follows
        self.force = None
        return result

    def test(self) -> Result:
        """Test a trained version: the newest, or ``exp_version``; its best checkpoint, or the one that ``test`` names.

        Raises:
            ExperimentError: there is no such version or checkpoint.
        """
        from runway.experiment.testing import Testing

        recover(self.folder)
        return Testing(self).run()

    def eval(self) -> Result:
        """Evaluate the recorder that a test has saved, without testing again.

        Raises:
            ExperimentError: there is no such test.
        """
        recover(self.folder)
        return Evaluation(self).run()

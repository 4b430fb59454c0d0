import sys

sys.path.append(".")

from runway_for_ml.utils import config_system as rw_conf
from runway_for_ml.configs import configuration as rw_cfg
from runway_for_ml.data_module.data_pipeline import DataPipeline
from runway_for_ml.utils.global_variables import Executor_Registry
from runway_for_ml.experiment import RunwayExperiment
from pprint import pprint
import argparse


def prepare_data_main(config_dict):
    meta_config = rw_cfg.MetaConfig.from_config(config_dict)
    dp_config = config_dict.data_pipeline
    dp = DataPipeline(dp_config, global_config=config_dict)
    if "out_ops" in dp_config:
        output_data = dp.get_data(dp_config["out_ops"])
    else:
        output_data = dp.apply_transforms()
    print("Data Prepared!", dp.input_transform_ids)


if __name__ == "__main__":
    arg_parser = argparse.ArgumentParser(description="")
    arg_parser = rw_conf.add_runway_sys_args(arg_parser)
    sys_args = arg_parser.parse_args()
    config_dict = rw_conf.parse_config(sys_args.config, sys_args)
    pprint(config_dict)
    rw_conf.import_user_modules()
    print("User modules imported", config_dict.executor.ExecutorClass in Executor_Registry)
    mode = sys_args.mode
    if mode == "prepare_data":
        prepare_data_main(config_dict)
    else:
        getattr(RunwayExperiment(config_dict), mode)()

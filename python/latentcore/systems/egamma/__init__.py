"""Electrons or photons: a ResNet-15 for calorimeter events in HDF5 files."""

from latentcore.systems.egamma.config import PRESETS, EgammaConfig, upgraded
from latentcore.training.system import Command, System

SYSTEM = System(
    name="egamma",
    does="a ResNet-15 that tells electrons from photons, in HDF5 files",
    config=EgammaConfig,
    presets=PRESETS,
    training="latentcore.systems.egamma.training:Training",
    run="latentcore.systems.egamma.run:EgammaRun",
    evaluate="latentcore.systems.egamma.command:evaluate",
    data="latentcore.systems.egamma.parts:EVENTS",
    kind="events",
    shortcuts={"--storage": ("events.storage",), "--test-share": ("events.test",), "--width": ("resnet.width",)},
    upgraded=upgraded,
    headlines=("test_auc", "oracle_auc", "auc_gap_oracle", "test_accuracy", "calibration_error"),
    commands={
        "predict": Command("what a run says of the events of HDF5 files", "latentcore.systems.egamma.command:predict"),
    },
)

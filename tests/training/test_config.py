import dataclasses
import json

import pytest

from latentcore.training import Augmentation, TrainConfig


def test_json_round_trip():
    config = TrainConfig(
        epochs=3, schedule="one-cycle", beta=1, augmentation=Augmentation(degrees=5, full_until=0.25, zero_from=0.75)
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_fields_left_out_take_their_defaults():
    assert TrainConfig.from_dict({"augmentation": {"degrees": 3}}) == TrainConfig(augmentation=Augmentation(degrees=3))


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"epoch": 3}, ValueError, r"train\.epoch: expected a field among epochs, .*, got an unknown field"),
        ({"epochs": "3"}, TypeError, r"train\.epochs: expected an int, got str"),
        ({"epochs": True}, TypeError, r"train\.epochs: expected an int, got bool"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"learning_rate": float("nan")}, ValueError, r"train\.learning_rate: expected a finite number"),
        ({"learning_rate": -1}, ValueError, "learning_rate"),
        ({"schedule": "two-cycle"}, ValueError, "'constant', 'cosine', 'one-cycle'"),
        (
            {"batch_size": 30, "accumulate": 4},
            ValueError,
            "TrainConfig.accumulate: expected a divisor of batch_size, 30",
        ),
        ({"ema": 1.0}, ValueError, "TrainConfig.ema: expected a number in"),
        ({"augmentation": 3}, TypeError, r"train\.augmentation: expected a mapping"),
        ({"augmentation": {"degrees": "5"}}, TypeError, r"train\.augmentation\.degrees: expected a float, got str"),
        ({"augmentation": {"full_until": 0.5, "zero_from": 0.4}}, ValueError, "zero_from"),
        ([], TypeError, "train: expected a mapping"),
    ],
)
def test_errors_name_the_field(data, error, message):
    with pytest.raises(error, match=message):
        TrainConfig.from_dict(data)


def test_strength_of_the_augmentation():
    ramp = Augmentation(degrees=5, full_until=0.2, zero_from=0.8)
    assert [ramp.strength(progress) for progress in (0, 0.2, 0.5, 0.8, 0.9)] == pytest.approx([1, 1, 0.5, 0, 0])
    assert Augmentation(degrees=5).strength(0.99) == 1
    step = Augmentation(degrees=5, full_until=0.5, zero_from=0.5)
    assert [step.strength(progress) for progress in (0.49, 0.5)] == [1, 0]
    assert Augmentation().strength(0) == 0

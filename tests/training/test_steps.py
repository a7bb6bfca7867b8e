"""What a step may be besides a batch and a rate: parts, averages, schedules, mirrored images, areas under curves."""

import dataclasses

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from latentcore.models.objectives import CrossEntropy, Discrimination, flattened
from latentcore.training import Augmentation, TrainConfig, create_run
from latentcore.training.ema import Averages
from latentcore.training.loop import minimise
from latentcore.training.plan import Plan
from latentcore.training.sources import LabelledImages

CONFIG = TrainConfig(epochs=3, batch_size=30, learning_rate=1e-2)


def classifier(dropout=0.0):
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 3))


def train(folder, images, config, *, model=None, resume=False, validation=False, objective=None, labels=None):
    labels = torch.arange(3).repeat(100) if labels is None else labels
    source = LabelledImages(images[:, None], labels, config.augmentation)
    model = model or classifier()
    if not folder.exists():
        create_run("test", {}, folder)
    history = minimise(
        model,
        objective or CrossEntropy(),
        source,
        config,
        folder,
        resume=resume,
        validation=source if validation else None,
    )
    return model, history


def losses(history):
    return torch.tensor([row["loss"] for row in history], dtype=torch.float64)


@pytest.mark.parametrize("parts", [2, 5, 30])
def test_gradients_of_parts_add_up_to_those_of_the_batch(tmp_path, images, parts):
    whole, one = train(tmp_path / "one", images, dataclasses.replace(CONFIG, precision="64-true"))
    config = dataclasses.replace(CONFIG, accumulate=parts, precision="64-true")
    apart, two = train(tmp_path / "two", images, config)
    assert losses(two) == pytest.approx(losses(one).tolist(), rel=1e-6)
    for a, b in zip(whole.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_no_two_parts_have_the_same_noise(images):
    plan = Plan(dataclasses.replace(CONFIG, accumulate=5), LabelledImages(images[:, None], torch.zeros(300).long()))
    seeds = torch.cat([plan.inputs(epoch).seeds.flatten() for epoch in range(3)])
    assert len(seeds.unique()) == 3 * 10 * 5


def test_processes_share_a_batch(images):
    source = LabelledImages(images[:, None], torch.arange(300), Augmentation(degrees=20))
    config = dataclasses.replace(CONFIG, augmentation=source.augmentation)
    whole, *shared = (Plan(config, source, *place).inputs(1) for place in ((0, 1), (0, 3), (1, 3), (2, 3)))
    assert torch.equal(torch.cat([part.rows for part in shared], -1), whole.rows)
    assert torch.equal(torch.cat([part.draws for part in shared], -1), whole.draws)
    for part in shared:  # whose noise is that of its own rows
        assert torch.equal(part.seeds, whole.seeds)
    assert len({Plan(config, source, rank, 3).layer_seed(1, 5) for rank in range(3)}) == 3


@pytest.mark.parametrize(("processes", "accumulate"), [(4, 1), (2, 30), (31, 1)])
def test_a_batch_that_cannot_be_shared_is_an_error(images, processes, accumulate):
    config = dataclasses.replace(CONFIG, accumulate=accumulate)
    with pytest.raises(
        ValueError, match=f"batch_size: expected a multiple of {processes} processes times {accumulate}"
    ):
        Plan(config, LabelledImages(images[:, None], torch.zeros(300).long()), 0, processes)


def test_the_average_of_weights_is_what_is_kept(tmp_path, images):
    config = dataclasses.replace(CONFIG, ema=0.9, batch_size=100)
    seen = []
    model = classifier()
    hook = model.register_forward_pre_hook(lambda net, _: seen.append(net[1].weight.detach().clone()))
    train(tmp_path, images, config, model=model)
    hook.remove()
    last = torch.load(tmp_path / "checkpoints" / "last.pth", weights_only=True)["model"]["1.weight"]
    weights = [*seen[1:], last]  # after each of nine steps
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(model[1].weight.detach(), expected)
    assert not torch.allclose(model[1].weight, last)


def test_validation_looks_at_the_average(tmp_path, images):
    config = dataclasses.replace(CONFIG, ema=0.99)
    model, history = train(tmp_path, images, config, validation=True)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(images[:, None] / 255), torch.arange(3).repeat(100))
    assert history[-1]["validation_loss"] == pytest.approx(float(loss), rel=1e-5)


def test_averages_leave_the_model_where_it_was():
    model = nn.BatchNorm1d(3)
    averages = Averages(model, 0.5)
    averages.update()
    model(torch.randn(8, 3))
    places = [tensor.data_ptr() for tensor in model.state_dict().values()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with averages.in_place():
        assert torch.equal(model.running_mean, torch.zeros(3))
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == places
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_cosine_ends_at_nothing(tmp_path, images):
    config = dataclasses.replace(CONFIG, schedule="cosine")
    train(tmp_path, images, config)
    state = torch.load(tmp_path / "checkpoints" / "last.pth", weights_only=True)
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-12)
    assert state["scheduler"]["T_max"] == 30


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_goes_on_from_within_an_epoch(tmp_path, images, ema):
    """Order, augmentation, dropout, averages and sums are those of an undisturbed run."""
    config = dataclasses.replace(
        CONFIG, checkpoint_every=4, ema=ema, augmentation=Augmentation(degrees=10, mirror="x"), schedule="one-cycle"
    )
    _, undisturbed = train(tmp_path / "one", images, config, model=classifier(0.3), validation=True)

    class InterruptionError(Exception):
        pass

    model, calls = classifier(0.3), 0

    def interrupt(*_):
        nonlocal calls
        calls += model.training
        if calls == 10 + 7:  # the last checkpoint is that of the fourth step of the second epoch
            raise InterruptionError

    model.register_forward_pre_hook(interrupt)
    with pytest.raises(InterruptionError):
        train(tmp_path / "two", images, config, model=model, validation=True)
    saved = torch.load(tmp_path / "two/checkpoints/last.pth", weights_only=True)
    assert (len(saved["history"]), saved["step"]) == (1, 4)
    assert saved["seconds"] > 0
    _, resumed = train(tmp_path / "two", images, config, model=classifier(0.3), resume=True, validation=True)
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    assert [[row[name] for name in names] for row in resumed] == [[row[name] for name in names] for row in undisturbed]
    ends = [torch.load(tmp_path / name / "checkpoints" / "model.pth", weights_only=True) for name in ("one", "two")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"step": 10}, "sums over some steps of an epoch"),
        ({"step": -1}, "sums over some steps of an epoch"),
        ({"totals": torch.zeros(7)}, "sums over some steps of an epoch"),
        ({"totals": [1.0]}, "totals: expected a Tensor"),
        ({"averages": None}, "the optimiser's state of this model"),
        ({"averages": {"module.1.weight": torch.zeros(1)}}, "the optimiser's state of this model"),
    ],
)
def test_a_damaged_checkpoint_is_an_error(tmp_path, images, spoiled, message):
    config = dataclasses.replace(CONFIG, ema=0.5, epochs=1)
    train(tmp_path, images, config)
    path = tmp_path / "checkpoints" / "last.pth"
    torch.save(torch.load(path, weights_only=True) | spoiled, path)
    with pytest.raises(ValueError, match=message):
        train(tmp_path, images, config, resume=True)


@pytest.mark.parametrize("mirror", ["x", "y", "xy"])
def test_images_are_mirrored_half_of_the_time(images, mirror):
    source = LabelledImages(images[:100, None], torch.arange(100), Augmentation(mirror=mirror))
    plan = Plan(TrainConfig(batch_size=100, epochs=20), source)
    counts = torch.zeros(4)
    for epoch in range(20):
        now = plan.inputs(epoch).at(torch.tensor([0]))
        batch, rows = source.batch(now.rows, now.draws)
        plain = images[rows][:, None] / 255
        ways = [plain, plain.flip(3), plain.flip(2), plain.flip(2, 3)]
        found = torch.stack([(batch - way).flatten(1).abs().amax(1) < 1e-6 for way in ways])
        assert found.any(0).all()
        counts += found.sum(1)
    shares = counts / counts.sum()
    expected = {"x": [0.5, 0.5, 0, 0], "y": [0.5, 0, 0.5, 0], "xy": [0.25] * 4}[mirror]
    assert shares.tolist() == pytest.approx(expected, abs=0.05)


def test_images_turn_around_the_centre_that_is_asked_for():
    image = torch.zeros(8, 1, 9, 9)
    image[:, :, 2, 6] = 1
    source = LabelledImages(image, torch.zeros(8).long(), Augmentation(degrees=180, mirror="xy", center=(6.0, 2.0)))
    now = Plan(TrainConfig(batch_size=8), source).inputs(0).at(torch.tensor([0]))
    batch, _ = source.batch(now.rows, now.draws)
    torch.testing.assert_close(batch[:, 0, 2, 6], torch.ones(8))


def test_the_area_is_that_of_scikit_learn_over_batches():
    objective = Discrimination()
    labels = torch.randint(2, (400,))
    logits = torch.randn(400, 2) + labels[:, None] * torch.tensor([0.0, 1.0])
    total = torch.zeros(objective.size)
    for part in torch.arange(400).split(100):
        terms = objective(lambda rows: logits[rows], (part, labels[part]), beta=1.0, seed=0)
        total += flattened(objective, terms) / 4
    figures = objective.figures(total)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, logits[:, 1] - logits[:, 0]), abs=1e-3)
    assert figures["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


def test_the_area_without_a_class_is_a_half():
    objective = Discrimination()
    terms = objective(lambda x: x, (torch.randn(9, 2), torch.ones(9).long()), beta=1.0, seed=0)
    assert objective.figures(flattened(objective, terms))["auc"] == 0.5

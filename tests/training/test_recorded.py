"""Work that is gone through once and replayed."""

import collections
import random
from array import array
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import _get_current_dispatch_mode

from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.training import Augmentation, TrainConfig, fit, gradients
from latentcore.training.checkpoint import State
from latentcore.training.recorded import Recorded


def step_of(network, images, targets, total):
    """A step of a training, as work: the gradients, and a sum that is written in place."""
    parameters = list(network.parameters())

    def work():
        for parameter in parameters:
            parameter.grad = None
        loss = F.mse_loss(network(images), targets)
        loss.backward()
        total.add_(loss.detach())
        return [parameter.grad for parameter in parameters]

    return work


def network_of():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 3)
    )


def steps_of(*, replayed):
    """Gradients, sums and statistics of ten steps on images that change, with weights that move."""
    network, total = network_of(), torch.zeros(())
    images, targets = torch.zeros(5, 1, 8, 8), torch.zeros(5, 3)
    work = step_of(network, images, targets, total)
    if replayed:
        work = Recorded(work, [*network.buffers(), total], [network])
    torch.manual_seed(1)
    found = []
    for _ in range(10):
        images.copy_(torch.rand(images.shape))
        targets.copy_(torch.rand(targets.shape))
        gradients = work()
        found += [*(gradient.clone() for gradient in gradients), total.clone(), *network.buffers()]
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    return found


def test_a_program_makes_the_same_numbers():
    for eager, replayed in zip(steps_of(replayed=False), steps_of(replayed=True), strict=True):
        assert torch.equal(eager, replayed)


def test_work_that_looks_at_a_value_is_done_as_it_is():
    """And once."""
    total, weight, calls = torch.zeros(()), nn.Parameter(torch.ones(())), []

    def work():
        calls.append(torch.rand(()))
        total.add_(weight.detach())
        return [(weight * 2 if float(total) > 1 else weight * 3).detach()]

    recorded = Recorded(work, [total], [work])
    torch.manual_seed(3)
    assert [float(recorded()[0]) for _ in range(3)] == [3, 2, 2]
    torch.manual_seed(3)
    assert calls == [torch.rand(()) for _ in range(3)]
    assert total == 3


def test_work_that_cannot_be_recorded_is_done_as_it_is():
    """And once: what the recording had done of it by then is undone, also what Python objects count and draw."""
    total, seen = torch.zeros(()), ([], {}, set(), collections.deque(), array("i", [0]), np.zeros(1), bytearray(1))
    own, numbers = random.Random(8), np.random.default_rng(8)
    entries, table, some, queue, counts, sums, raw = seen

    def work():
        total.add_(1)
        draws.append((float(torch.rand(())), random.random(), own.random(), numbers.random()))
        entries.append(0)
        table[len(table)] = 0
        some.add(len(some))
        queue.append(0)
        work.calls = getattr(work, "calls", 0) + 1
        for numbered in (counts, sums, raw):
            numbered[0] += 1
        if _get_current_dispatch_mode() is not None:
            raise RuntimeError
        return [total.clone()]

    def three_of(call):
        torch.manual_seed(3)
        random.seed(3)
        own.seed(8)
        numbers.bit_generator.state = np.random.default_rng(8).bit_generator.state
        draws.clear()
        for _ in range(3):
            call()
        return list(draws)

    draws = []
    expected = three_of(work)
    draws = []
    assert three_of(Recorded(work, [total], [work])) == expected
    assert [len(entries), len(table), len(some), len(queue), counts[0], sums[0], raw[0], work.calls, total] == 9 * [6]


def test_a_replay_may_return_nothing_for_what_was_not_used():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def work():
        used.grad = None
        (used**2).sum().backward()
        return [used.grad, unused.grad]

    recorded = Recorded(work, [], [])
    for _ in range(4):
        first, second = recorded()
        assert torch.equal(first, torch.full((2,), 2.0))
        assert second is None


def test_a_training_of_recorded_steps_is_one_of_its_steps(tmp_path, images, monkeypatch):
    """With averaged weights, validation, noise, and an interruption after which too few steps are left."""
    monkeypatch.setattr(gradients, "_MANY", 60)
    config = TrainConfig(epochs=10, batch_size=4, ema=0.9, device="cpu", augmentation=Augmentation(translate=1))

    def model_of():
        torch.manual_seed(0)
        network = VAEConfig(
            image_shape=(1, 12, 12),
            noise=0.1,
            network=MLPConfig(hidden=(8,), decoder_hidden=(8,), normalisation="batch"),
        )
        return VAE(network)

    def trained(name, **words):
        folder, model = tmp_path / name, model_of()
        folder.mkdir(exist_ok=True)
        fit(model, images[:40], config, folder, validation=images[40:50], **words)
        return model.state_dict()

    replayed = trained("replayed")
    save, epochs = State.save, []

    def interrupted(self, *place):
        save(self, *place)
        epochs.append(len(self.history))
        if len(epochs) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(State, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained("resumed")
    resumed = trained("resumed", resume=True)
    config = replace(config, record="off")
    eager = trained("eager")
    for key, value in eager.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(replayed[key], value)
            assert torch.equal(resumed[key], value)

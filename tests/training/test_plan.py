import pytest
import torch

from latentcore.training import Augmentation, TrainConfig
from latentcore.training.plan import Plan
from latentcore.training.sources import Images, LabelledImages

IMAGES = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1).expand(50, 1, 6, 6).contiguous()
MOVING = Augmentation(degrees=20, translate=1, scale=0.1, shear=5)


def batches(epoch=0, images=IMAGES, **fields):
    config = TrainConfig(**{"batch_size": 16, "epochs": 4} | fields)
    plan = Plan(config, Images(images, config.augmentation, config.reconstruct))
    inputs = plan.inputs(epoch)
    steps = [inputs.at(torch.tensor([step])) for step in range(plan.steps)]
    return [plan.source.batch(step.rows, step.draws) for step in steps]


def inputs(**arguments):
    return torch.cat([batch for batch, _ in batches(**arguments)])


def test_an_epoch_holds_each_image_at_most_once():
    firsts = [target[:, 0, 0, 0] for _, target in batches()]
    assert [len(first) for first in firsts] == [16, 16, 16]
    assert len(torch.cat(firsts).unique()) == 48


def test_inputs_are_the_images_over_255():
    for batch, target in batches():
        assert target.dtype == torch.uint8
        assert torch.equal(batch, target / 255)


def test_a_batch_larger_than_the_data_is_the_data():
    assert [len(batch) for batch, _ in batches(batch_size=64)] == [50]


def test_the_order_is_a_function_of_seed_and_epoch():
    assert torch.equal(inputs(), inputs())
    assert not torch.equal(inputs(), inputs(epoch=1))
    assert not torch.equal(inputs(), inputs(seed=1))


def test_augmentation_moves_images_as_a_function_of_seed_and_epoch():
    shaped = torch.randint(256, (50, 1, 12, 12), dtype=torch.uint8)
    still = inputs(images=shaped)
    moved = inputs(images=shaped, augmentation=MOVING)
    assert moved.dtype == torch.float32
    assert not torch.equal(still, moved)
    assert torch.equal(moved, inputs(images=shaped, augmentation=MOVING))
    assert not torch.equal(moved, inputs(images=shaped, augmentation=MOVING, seed=1))
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-6


def test_each_image_is_moved_by_its_own_numbers():
    # one image, many times: copies that moved alike would be equal
    same = torch.randint(256, (1, 1, 12, 12), dtype=torch.uint8).expand(16, -1, -1, -1).contiguous()
    moved = inputs(images=same, augmentation=MOVING)
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 16


def test_a_translation_of_whole_pixels_stays_within_its_range():
    dot = torch.zeros(16, 1, 11, 11, dtype=torch.uint8)
    dot[:, :, 5, 5] = 255
    moved = inputs(images=dot, augmentation=Augmentation(translate=2))
    assert moved[:, :, 2:9, 2:9].sum((1, 2, 3)) == pytest.approx(torch.ones(16).numpy(), abs=1e-4)
    assert moved.sum((1, 2, 3)) == pytest.approx(torch.ones(16).numpy(), abs=1e-4)


def test_what_the_decoder_is_to_draw():
    shaped = torch.randint(256, (50, 1, 12, 12), dtype=torch.uint8)
    for batch, target in batches(images=shaped, augmentation=MOVING, reconstruct="augmented"):
        assert torch.equal(batch, target)
    for _, target in batches(images=shaped, augmentation=MOVING):
        assert target.dtype == torch.uint8


def test_kl_warm_up():
    plan = Plan(TrainConfig(epochs=10, batch_size=5, beta=0.5, beta_warmup=0.2), Images(IMAGES))
    assert plan.total == 100
    assert [plan.beta(step) for step in (0, 10, 20, 99)] == pytest.approx([0, 0.25, 0.5, 0.5])


def test_every_step_has_its_seed_and_its_beta():
    plan = Plan(TrainConfig(epochs=3, batch_size=10, beta=0.5, beta_warmup=1.0, seed=2), Images(IMAGES[:40]))
    found = [plan.inputs(epoch) for epoch in range(3)]
    assert torch.cat([i.seeds for i in found]).flatten().tolist() == [plan.noise_seed(step) for step in range(12)]
    assert torch.cat([i.betas for i in found]).tolist() == [plan.beta(step) for step in range(12)]
    assert Plan(TrainConfig(beta=0.5), Images(IMAGES)).beta(0) == 0.5


def test_no_two_noises_are_alike():
    plans = [Plan(TrainConfig(seed=seed), Images(IMAGES)) for seed in (0, 1)]
    seeds = [plan.noise_seed(step) for plan in plans for step in range(3)]
    seeds += [plan.validation_seed(batch) for plan in plans for batch in range(3)]
    assert len(set(seeds)) == 12


def test_labels_come_with_their_images():
    source = LabelledImages(IMAGES, torch.arange(50), MOVING)
    rows = torch.tensor([7, 3, 49])
    images, labels = source.batch(rows, None)
    assert labels.tolist() == [7, 3, 49]
    assert torch.equal(images, IMAGES[rows] / 255)
    moved, labels = source.batch(rows, torch.ones(5, 3))
    assert labels.tolist() == [7, 3, 49]
    assert not torch.equal(moved, images)


def test_validation_sees_augmented_images_as_they_are():
    plan = Plan(TrainConfig(epochs=3), Images(IMAGES, MOVING))
    assert plan.validation_draws(Images(IMAGES, Augmentation(zero_from=1.0, degrees=20)), 0, 8) is None

import numpy as np
import pytest
import torch

from benchmarks import peers
from latentcore import ops

cv2 = peers.module("cv2")
kornia = peers.module("kornia.geometry.transform")
torchvision = peers.module("torchvision.transforms.functional")


def opencv_rotate(images, degrees):
    """A loop over the images, channels last, as OpenCV has them."""
    matrices = _opencv_matrices(images, degrees)
    arrays = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    size = arrays.shape[2], arrays.shape[1]

    def rotate():
        out = np.empty_like(arrays)
        for image, matrix, result in zip(arrays, matrices, out, strict=True):
            cv2.warpAffine(image, matrix, size, dst=result, flags=cv2.INTER_LINEAR)
        return out

    return rotate


def _opencv_matrices(images, degrees):
    center = (images.shape[3] - 1) / 2, (images.shape[2] - 1) / 2
    return [cv2.getRotationMatrix2D(center, float(angle), 1.0) for angle in degrees]


def channels_first(result):
    return torch.from_numpy(result).permute(0, 3, 1, 2).contiguous() if isinstance(result, np.ndarray) else result


def smooth(*shape):
    """Images without edges, on which samplers of different precision agree."""
    images = torch.rand(*shape)
    return torch.nn.functional.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)


@pytest.mark.parametrize(
    ("shape", "at_least", "goal"),
    [((60000, 1, 28, 28), 8, 15), ((1024, 2, 32, 32), 4, 8), ((64, 3, 224, 224), 3, 5)],
    ids=str,
)
def test_rotate(timed, shape, at_least, goal):
    images, degrees = smooth(*shape), torch.rand(shape[0]) * 360
    contestants = {
        "latentcore": lambda: ops.rotate(images, degrees),
        **peers.with_compiled(peers.grid_sample_rotate, (images, degrees)),
    }
    if kornia:
        contestants["kornia"] = lambda: kornia.rotate(images, degrees, align_corners=True)
    if cv2:
        contestants["OpenCV"] = opencv_rotate(images, degrees)
    if torchvision:
        contestants["torchvision"] = lambda: torch.stack(
            [
                torchvision.rotate(i, float(a), interpolation=torchvision.InterpolationMode.BILINEAR)
                for i, a in zip(images, degrees, strict=True)
            ]
        )
    timed(
        operator="rotate bilinear",
        shape="×".join(map(str, shape)),
        contestants=contestants,
        result=channels_first,
        tolerance=0.05,  # OpenCV places points to 1/32 of a pixel
        bytes=2 * images.nbytes,
        at_least=at_least,
        goal=goal,
    )


def test_rotate_uint8_by_several_angles(timed):
    images = (smooth(10000, 1, 28, 28) * 255).to(torch.uint8)
    degrees = torch.rand(10000, 12) * 360

    def grid_sample():
        many = (images.float() / 255).repeat_interleave(12, 0)
        return peers.grid_sample_rotate(many, degrees.flatten()).view(10000, 12, 1, 28, 28)

    def opencv():
        out = np.empty((10000, 12, 28, 28), np.float32)
        for image, several, results in zip(arrays, matrices, out, strict=True):
            as_float = image.astype(np.float32) / 255
            for matrix, result in zip(several, results, strict=True):
                cv2.warpAffine(as_float, matrix, (28, 28), dst=result, flags=cv2.INTER_LINEAR)
        return out

    contestants = {
        "latentcore": lambda: ops.rotate(images, degrees, dtype=torch.float32),
        "grid_sample": grid_sample,
    }
    if cv2:
        arrays = images[:, 0].numpy()
        matrices = [_opencv_matrices(images, several) for several in degrees]
        contestants["OpenCV"] = opencv
    timed(
        operator="rotate uint8 → float32, 12 angles",
        shape="10000×1×28×28",
        contestants=contestants,
        result=lambda result: torch.as_tensor(result).reshape(-1, 28, 28),
        tolerance=0.05,
        bytes=images.nbytes + 4 * 12 * images.nbytes,
        at_least=10,
        goal=20,
    )

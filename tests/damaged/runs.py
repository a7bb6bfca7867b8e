"""Run folders with one file that is not what a training wrote: cut, changed, swapped, or made to cost much."""

import io
import json
import os
import zipfile
from contextlib import redirect_stdout

import torch

from latentcore import _config, load_run
from latentcore.cli import main
from latentcore.models import VAE, MLPConfig, VAEConfig, save_vae
from latentcore.training import create_run

CONFIG = VAEConfig(image_shape=(1, 8, 8), network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))
FILES = ("config.json", "metrics.json", "metrics.csv", "checkpoints/model.pth")
DEEP = "[" * 5000 + "]" * 5000
VALUES = (
    None, True, -1, 0, 3.5, 10**18, 10**400, 1e308, float("nan"), float("inf"), "", "x", "2" * 100_000, "\ud800", [],
    {}, [64] * 50_000, [10**9, 10**9], [[]] * 100, {"a": {"b": [1, {"c": None}]}},
)  # fmt: skip


def whole_files(folder):
    """A run that was never trained, with all files by which it is opened and shown."""
    run = folder / "run"
    create_run("vae", {"vae": _config.to_plain(CONFIG), "train": {"epochs": 2}}, run)
    save_vae(VAE(CONFIG), run / "checkpoints" / "model.pth")
    (run / "metrics.json").write_text(json.dumps({"loss": 1.5, "seconds": 2, "mse": 0.1}))
    (run / "metrics.csv").write_text("epoch,loss,seconds\n0,3,1\n1,2,1\n")
    return [f"run/{name}" for name in FILES]


def readers(name, number):
    return {"opened": opened, "shown": shown}


def opened(path):
    load_run(_run_of(path)).sample(1)


def shown(path):
    """All stand in reports that say what they leave out."""
    run = _run_of(path)
    page = run.with_name("report.html")
    with redirect_stdout(io.StringIO()):
        assert main(["report", str(run), "--out", str(page)]) == 0
    assert f">{run.name} <" in page.read_text()


def _run_of(path):
    return next(folder for folder in path.parents if folder.name == "run")


def damage(path, chance):
    ways = {".json": [json_value, json_value], ".csv": [csv_cells, csv_cells], ".pth": [tensors, tensors, archive]}
    chance.choice([cut, bits, noise, another_kind, *ways[path.suffix]])(path, chance)


def cut(path, chance):
    os.truncate(path, chance.randrange(path.stat().st_size))


def bits(path, chance):
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 20)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def noise(path, chance):
    content, at = path.read_bytes(), chance.randrange(path.stat().st_size)
    path.write_bytes(content[:at] + chance.choice([chance.randbytes(50), DEEP.encode(), b"\0" * 9]) + content[at:])


def another_kind(path, chance):
    path.unlink()
    kind = chance.randrange(5)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(f"/proc/self/{chance.choice(['environ', 'nothing', 'fd/0'])}")
    elif kind == 3:
        path.symlink_to(path.name)
    else:
        path.touch()
        os.truncate(path, 10**11)


def json_value(path, chance):
    """Another value somewhere, or another name."""
    content = json.loads(path.read_text())
    place = content
    while isinstance(inner := place[chance.choice(list(place))], dict) and inner and chance.random() < 0.9:
        place = inner
    name = chance.choice(list(place))
    value = chance.choice(VALUES)
    if chance.random() < 0.2:
        place["".join(chance.choices("ab\n\0<ü", k=chance.choice([1, 9, 99_999])))] = value
    else:
        place[name] = value
    path.write_text(json.dumps(content))


def csv_cells(path, chance):
    columns, rows = chance.choice([(20_000, 2), (3, 30_000), (1, 3), (80, 20), (0, 9)])
    cell = chance.choice(["1", "nan", "-1e999", "x" * 20, '"', "", "1,2"])
    head = chance.choice([",".join(f"c{place}" for place in range(columns)), "epoch," + "loss," * columns])
    path.write_text(f"{head}\n" + f"{','.join([cell] * columns)}\n" * rows)


def tensors(path, chance):
    """Another tensor or value, or another name."""
    state = torch.load(path, weights_only=True)
    name = chance.choice(list(state))
    own = state[name] if isinstance(state[name], torch.Tensor) else torch.ones(3)
    laughs = [0]
    for _ in range(40):
        laughs = [laughs, laughs]
    value = chance.choice(
        [
            own.to(torch.float8_e4m3fn), own.to(torch.complex64), own.to("meta"), own.to_sparse(), own.bool(),
            own.half(), own.double(), own.to(torch.int16), own * float("nan"), own[:0],
            own.reshape(-1)[:1].expand(10**6, 10**6), own[None], laughs, 3, "x", None, {"latent": 10**9},
            {"latent": laughs}, {"latent": 2, "hidden": [8] * 50_000}, [own] * 1000,
        ]
    )  # fmt: skip
    if chance.random() < 0.1:
        state = chance.choice([value, {3: value}, dict.fromkeys(map(str, range(30_000)), own)])
    else:
        state["_extra_state" if isinstance(value, dict) else name] = value
    torch.save(state, path)


def archive(path, chance):
    """The same entries, packed; or one of them in many bytes that take hardly any."""
    with zipfile.ZipFile(path) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    if chance.random() < 0.5:
        entries[chance.choice(list(entries))] = bytes(50_000_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    path.write_bytes(packed.getvalue())

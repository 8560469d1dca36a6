"""The gallery of the book: each scene has a picture, and its command makes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import hypostyle
from conftest import ROOT, program

pytest.importorskip("matplotlib")
sys.path.insert(0, str(ROOT / "python"))
import gallery  # noqa: E402


def test_each_scene_has_a_picture_and_a_command():
    commands = gallery.commands()
    assert set(commands) == set(hypostyle.scenes()) == set(gallery.SCENES)
    loops = 0
    for scene, (picture, loop, words) in commands.items():
        assert words[:2] == ["run", scene]
        for path, most in ((picture, gallery.BYTES_MAX), (loop, gallery.LOOP_BYTES_MAX)):
            if path is not None:
                assert path.is_file() and path.parent == ROOT / "docs" / "pictures", path
                assert path.stat().st_size <= most, path
        if loop is not None:
            assert len(images_of(loop)) >= gallery.STATES - 5, loop
            loops += 1
    assert loops >= 5


def images_of(path: Path):
    """The images of a loop, each other than the one before, and none empty. (Equal ones become one when it is written.)"""
    from PIL import Image

    images = []
    with Image.open(path) as loop:
        for index in range(loop.n_frames):
            loop.seek(index)
            images.append(loop.convert("RGB"))
        assert len(images) == 1 or loop.info["loop"] == 0, "it goes on and on"
    assert all(image.tobytes() != before.tobytes() for image, before in zip(images[1:], images)), path
    assert all(len(image.getcolors(1 << 20)) > 1 for image in images), f"{path} has an empty image"
    return images


def test_its_command_draws_it(tmp_path: Path):
    from PIL import Image

    # as the page says, but for how large and how long
    gallery.draw(tmp_path, program(), {"--entities": "400", "--frames": "3"})
    wanted = [path.name for picture, loop, _ in gallery.commands().values() for path in (picture, loop) if path]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(wanted)
    for path in tmp_path.glob("*.png"):
        colours = Image.open(path).convert("RGB").getcolors(1 << 20)
        assert colours is not None and len(colours) > 1, f"{path} is empty"
    # in so few frames water has not moved by a pixel
    moving = [path for path in tmp_path.glob("*.webp") if len(images_of(path)) >= 3]
    assert len(moving) >= 4, moving

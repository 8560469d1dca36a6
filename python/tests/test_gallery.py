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
    for scene, (path, words) in commands.items():
        assert path.is_file() and path.parent == ROOT / "docs" / "pictures", path
        assert words[:2] == ["run", scene]


def test_its_command_draws_it(tmp_path: Path):
    from PIL import Image

    # as the page says, but for how large and how long
    gallery.draw(tmp_path, program(), {"--entities": "400", "--frames": "3"})
    drawn = sorted(tmp_path.iterdir())
    assert [path.name for path in drawn] == sorted(path.name for path, _ in gallery.commands().values())
    for path in drawn:
        colours = Image.open(path).convert("RGB").getcolors(1 << 20)
        assert colours is not None and len(colours) > 1, f"{path} is empty"

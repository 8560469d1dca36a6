"""Errors say what is wrong and what there is."""

import pathlib

import pytest

import hypostyle


def test_regions_that_are_none(tmp_path):
    with pytest.raises(hypostyle.RegionNotFoundError, match="there is no region no-such-region"):
        hypostyle.open("no-such-region")
    with pytest.raises(FileNotFoundError):
        hypostyle.open(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"\./none"):
        hypostyle.open(pathlib.Path("none"))
    with pytest.raises(hypostyle.BadNameError, match="`two words` is no region name"):
        hypostyle.open("two words")
    (tmp_path / "empty").mkdir()
    with pytest.raises(hypostyle.HypostyleError):
        hypostyle.open(tmp_path / "empty")


def test_damaged_regions(tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("descriptor", "control", "data", "leases", "lock"):
        (damaged / name).write_bytes(b"not a region" * 1000)
    with pytest.raises(hypostyle.RegionError):
        hypostyle.open(damaged)


def test_names_that_are_none(spheres):
    with spheres.pin() as snapshot:
        with pytest.raises(KeyError, match=r"no component `positon` \(did you mean `position`\?\); there are: global_id, position, velocity"):
            snapshot["positon"]
        with pytest.raises(AttributeError, match=r"no field `position.w` \(did you mean `position.x`\?\); there are: position.x, "):
            snapshot["position"].w
        with pytest.raises(hypostyle.UnknownNameError, match="position.w"):
            snapshot["position.w"]
        with pytest.raises(hypostyle.UnknownNameError):
            snapshot["position"].concat("w")
        assert not hasattr(snapshot["position"], "w")
    first = hypostyle.Scene("particles").systems[0]
    for wrong, meant in (
        (lambda: hypostyle.open(spheres.name + "x"), spheres.name),
        (lambda: hypostyle.Scene("partciles"), "particles"),
        (lambda: hypostyle.Scene("particles")[first.name[:-1]], first.name),
        (lambda: hypostyle.World("name = 'a'\n[components.a]\nfields = { x = 'f322' }"), "f32"),
        (lambda: hypostyle.World("name = 'a'\n[componets.a]\nfields = { x = 'f32' }"), "components"),
    ):
        with pytest.raises(hypostyle.HypostyleError, match=rf"did you mean `{meant}`\?"):
            wrong()


def test_all_errors_are_of_one_family():
    classes = [value for value in vars(hypostyle).values() if isinstance(value, type) and issubclass(value, Exception)]
    classes = [each for each in classes if not issubclass(each, Warning)]
    assert len(classes) > 10 and all(issubclass(each, hypostyle.HypostyleError) and each.__doc__ for each in classes)


def test_lists(spheres, tmp_path):
    found = {info.name: info for info in hypostyle.list()}
    info = found[spheres.name]
    assert info.is_alive and not info.is_stale and info.generation > 0 and info.error is None
    assert hypostyle.list(tmp_path) == []
    with pytest.raises(hypostyle.HypostyleError):
        hypostyle.list(tmp_path / "none")

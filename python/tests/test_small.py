"""Columns of small numbers, from files of layouts to arrays and tables."""

import numpy as np
import pytest

import hypostyle

LAYOUT = """
name = "sparks"
bytes_max = "64 MiB"

[components.spark]
fields = { speed = { type = "f16", default = 1.5 }, heat = "bf16", glow = "unorm8", hue = "unorm16", tilt = "snorm8", way = "[snorm16; 2]" }
"""

SCALARS = ["f16", "bf16", "unorm8", "unorm16", "snorm8", "snorm16"]


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT) as world:
        yield world


def test_columns_are_written_and_read(world):
    numbers = np.linspace(0, 1, 1000)
    both = np.stack([numbers, -numbers], 1)
    world.spawn(spark={"speed": numbers, "heat": numbers, "glow": numbers, "hue": numbers, "tilt": -numbers, "way": both})
    world.publish()
    with world.pin() as snapshot:
        spark = snapshot["spark"]
        assert spark.speed.dtype == np.float16
        assert np.array_equal(spark.speed, numbers.astype(np.float16))
        for name, scalar, sign, step in [
            ("heat", "bf16", 1, 1 / 256), ("glow", "unorm8", 1, 1 / 255), ("hue", "unorm16", 1, 1 / 65535), ("tilt", "snorm8", -1, 1 / 127),
        ]:
            wide = hypostyle.small.widen(np.asarray(spark[name]), scalar)
            assert wide.dtype == np.float32 and abs(wide - sign * numbers).max() <= step / 2 + 1e-6, name
        way = hypostyle.small.widen(np.asarray(spark.way), "snorm16")
        assert way.shape == (1000, 2) and abs(way - both).max() <= 1 / 65534 + 1e-6


@pytest.mark.parametrize(
    ("field", "values", "says"),
    [
        ("glow", [0.5, 1.5], "`spark.glow` is unorm8, which holds 0.0 to 1.0; it was given 1.5"),
        ("glow", [0, 1], "write floats, or bits as an array of uint8"),
        ("tilt", [float("nan")], "which holds -1.0 to 1.0"),
        ("speed", [1e6], "holds up to 65504"),
    ],
)
def test_what_does_not_fit_is_refused(world, field, values, says):
    with pytest.raises(hypostyle.FieldValueError, match=says):
        world.spawn(spark={field: values})
    assert len(world) == 0


def test_a_default_is_the_nearest_number(world):
    assert world.layout.component("spark").fields[0].default == np.float16(1.5)


@pytest.mark.parametrize("scalar", SCALARS)
def test_numbers_go_there_and_back(scalar):
    kind = hypostyle.small.narrow([0.0], scalar).dtype
    bits = np.arange(1 << (8 * kind.itemsize)).astype(f"<u{kind.itemsize}").view(kind)
    wide = hypostyle.small.widen(bits, scalar)
    good = ~np.isnan(wide) & (np.ones(len(bits), bool) if scalar[0] != "s" else bits != np.iinfo(kind).min)
    assert np.array_equal(hypostyle.small.narrow(wide[good], scalar), bits[good])
    if scalar == "f16":
        assert np.array_equal(wide[good], bits[good].astype(np.float32))


def test_one_number_becomes_one():
    bits = hypostyle.small.narrow(1.0, "unorm8")
    assert bits.shape == () and bits == 255


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="`f8` is no small number; these are: f16, bf16"):
        hypostyle.small.widen(np.zeros(1), "f8")
    with pytest.raises(TypeError, match="columns of unorm8 are arrays of uint8, not float64"):
        hypostyle.small.widen(np.zeros(1), "unorm8")


def test_arrow_has_halves_and_says_what_bits_mean(world):
    pa = pytest.importorskip("pyarrow")
    world.spawn(spark={"speed": np.array([0.5, 2.0], np.float16)})
    world.publish()
    with world.pin() as snapshot:
        table = snapshot.to_arrow("spark")
        assert table["spark.speed"].type == pa.float16() and table["spark.speed"].to_pylist() == [0.5, 2.0]
        assert table.schema.field("spark.glow").metadata == {b"hypostyle.type": b"unorm8"}

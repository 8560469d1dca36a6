"""Names that the package has itself, and things written where others are meant: errors that say what to write."""

import subprocess
import sys

import pytest

import hypostyle
from conftest import program, unique
from test_workers import SCRIPT


def layout_with(part):
    return f'name = "names"\nbytes_max = "1 MiB"\n{part}\n'


@pytest.mark.parametrize("name", ["entities", "first_row", "neighbours", "matches", "is_own"])
def test_components_that_would_be_hidden_are_refused(name):
    with pytest.raises(hypostyle.LayoutError, match=f"component `{name}`.*choose others"):
        hypostyle.World(layout_with(f'[components.{name}]\nfields = {{ x = "f32" }}'))


@pytest.mark.parametrize("name", ["entities", "rows", "presence", "changed", "chunks", "concat", "table", "to_arrow", "declared"])
def test_fields_that_would_be_hidden_are_refused(name):
    with pytest.raises(hypostyle.LayoutError, match=f"field `a.{name}`"):
        hypostyle.World(layout_with(f'[components.a]\nfields = {{ {name} = "f32" }}'))


@pytest.mark.parametrize("name", ["keys", "items", "values", "get"])
def test_fields_of_resources_that_would_be_hidden_are_refused(name):
    with pytest.raises(hypostyle.LayoutError, match=f"field `a.{name}`"):
        hypostyle.World(layout_with(f'[resources.a]\nfields = {{ {name} = "f32" }}'))


def test_a_refused_layout_leaves_no_region():
    name = unique("refused")
    with pytest.raises(hypostyle.LayoutError):
        hypostyle.World(layout_with('[components.entities]\nfields = { x = "f32" }'), region=name)
    with pytest.raises(hypostyle.RegionNotFoundError):
        hypostyle.open(name)


@pytest.mark.parametrize("name", ["entity", "frame", "time", "generation"])
def test_no_component_is_called_as_a_column_of_exports(name):
    for part in (f"[components.{name}]", f'[components.{name}]\nstorage = "toggle"'):
        with pytest.raises(hypostyle.LayoutError, match=f"component `{name}` has no published fields, so exports have a column"):
            hypostyle.World(layout_with(part))
    hypostyle.World(layout_with(f'[components.{name}]\nfields = {{ x = "f32" }}')).close()


def test_worlds_of_others_warn_and_are_reached_by_items(monkeypatch):
    from hypostyle import world as module

    name, part = unique("foreign"), '[components.a]\nfields = { rows = "f32", entities = "f32" }'
    monkeypatch.setattr(module, "check_names", lambda layout: None)
    with hypostyle.World(layout_with(part), region=name) as world:
        handles = world.spawn(2, a={"rows": 3, "entities": 4})
        world.publish()
        with pytest.warns(hypostyle.NameCollisionWarning, match=r'`a.rows`, reached by \["rows"\]; field `a.entities`'):
            region = hypostyle.open(name)
        with region.pin() as snapshot:
            a = snapshot["a"]
            assert a["rows"].tolist() == [3, 3] and a["entities"].tolist() == [4, 4]
            assert a.entities.tolist() == handles.tolist() == a.concat().entities.tolist()
            assert a.concat("entities").tolist() == [4, 4], "a field is what it is asked for by name"


def test_scenes_have_such_names_only_where_items_reach_them():
    from hypostyle.layout import taken_names

    for name in hypostyle.scenes():
        with hypostyle.Scene(name, entities=256).world() as world:
            assert taken_names(world.layout) == []
            world.publish()
            with world.pin() as snapshot:
                for component in world.layout:
                    for chunk in snapshot[component.name].chunks:
                        for field in component.published_fields:
                            assert chunk[field.name].dtype == field.dtype


def test_components_and_fields_may_be_called_as_arguments_are():
    layout = layout_with('[components.count]\nfields = { x = "i32" }\n[resources.r]\nfields = { name = "u8" }')
    with hypostyle.World(layout) as world:
        world.spawn(3, count={"x": 7})
        world.set_resource("r", name=3)
        world.publish()
        with world.pin() as snapshot:
            assert snapshot["count"].x.tolist() == [7] * 3 and snapshot.resources["r"].name == 3
    with hypostyle.World(layout_with("[components.a]")) as world, pytest.raises(TypeError, match=r"`spawn\(5, mark=True\)`"):
        world.spawn(count=5, a=True)


def test_a_star_import_leaves_the_builtins_alone():
    code = "from hypostyle import *\nimport builtins\nassert list is builtins.list and open is builtins.open\nassert World"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert callable(hypostyle.list) and callable(hypostyle.open)


def test_numbers_are_no_names():
    with hypostyle.World(layout_with('[components.a]\nfields = { x = "f32" }')) as world:
        world.spawn(2, a={})
        world.publish()
        with world.pin() as snapshot:
            for act, hint in (
                (lambda: snapshot[0], r"\.tables\[0\]"),
                (lambda: snapshot[:2], r"\.tables\[0\]"),
                (lambda: list(snapshot), r"\.tables\[0\]"),
                (lambda: snapshot["a"][0], r"\.chunks\[0\]"),
                (lambda: snapshot["a"].chunks[0][0], r"chunk\.x\[row\]"),
                (lambda: snapshot.tables[0][0], r"\.x\[row\]"),
            ):
                with pytest.raises(TypeError, match=f"named by text, not by .*{hint}"):
                    act()


def test_systems_are_plain_functions():
    async def later(rows, frame):
        rows.a.x += 1

    def some(rows, frame):
        yield 1

    async def both(rows, frame):
        yield 1

    for wrong in (later, some, both):
        with pytest.raises(TypeError, match=f"system `{wrong.__name__}` is .*write it as a plain `def`"):
            hypostyle.system(reads="a")(wrong)


def test_workers_are_named_by_text():
    with hypostyle.World(layout_with("[components.a]")) as world:
        with pytest.raises(TypeError, match='write "threads:2" or "processes:2"'):
            hypostyle.Simulation(world, [], workers=2)
        for wrong in (None, True, ["local"]):
            with pytest.raises(TypeError, match="workers are named by text"):
                hypostyle.Simulation(world, [], workers=wrong)


def test_what_is_left_out_is_what_rust_has():
    import inspect

    for made in (hypostyle.Simulation, hypostyle.Scene.simulation):
        assert inspect.signature(made).parameters["workers"].default == "auto"
    assert inspect.signature(hypostyle.Simulation).parameters["main_helps"].default is True


@pytest.mark.parametrize("region", ["region=sys.argv[1]", ""])
def test_a_script_without_a_guard_says_what_to_write(tmp_path, region):
    script = tmp_path / "unguarded.py"
    text = SCRIPT.replace('if __name__ == "__main__":', "if True:").replace(", region=sys.argv[1]", f", {region}")
    text = text.replace('workers="processes:2"', 'workers="processes:2", worker=[__file__]')
    script.write_text(text, encoding="utf-8")
    ran = subprocess.run([sys.executable, str(script), unique("script")], capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    if region:
        assert 'put all that makes worlds and runs them under `if __name__ == "__main__":`' in ran.stderr, ran.stderr
        assert str(script) in ran.stderr
    assert program()

//! Tests of the grammar and of its errors.
#![forbid(unsafe_code)]

use super::*;

const GOOD: &str = r#"
name = "demo"
bytes_max = "64 MiB"

[components.position]
fields = { z = "f32", x = { type = "f32", default = 1.5 }, y = "f32" }
track_changes = true

[components.link.fields]
to = "entity"
weights = { type = "[ i16 ; 2 ]", default = [-1, 0x10] }

[components]
alive = { storage = "toggle" }

[resources.gravity]
fields = { y = { type = "f64", default = -9.81 } }

[[tables]]
components = ["position", "alive"]
rows = 1_000
"#;

#[test]
fn reads_every_part_in_the_order_of_the_file() {
    let layout = Layout::parse(GOOD, "demo.toml").unwrap();
    assert_eq!((layout.name(), layout.bytes_max()), ("demo", 64 << 20));
    let names: Vec<&str> = layout.components().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["position", "link", "alive"]);
    let position = &layout.components()[0];
    let fields: Vec<&str> = position.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(fields, ["z", "x", "y"]);
    assert_eq!(position.fields[1].default, Some(1.5_f32.to_le_bytes().to_vec()));
    assert!(position.track_changes && position.storage == Storage::Table);
    assert_eq!(position.packed_default()[4..8], 1.5_f32.to_le_bytes());
    let link = &layout.components()[1];
    assert_eq!(link.fields[1].ty, FieldType::array(ScalarType::I16, 2));
    assert_eq!(link.fields[1].default, Some(vec![0xff, 0xff, 0x10, 0]));
    assert_eq!(link.packed_default()[..8], [0xff; 8], "an entity's default is the null handle");
    assert_eq!(layout.components()[2].storage, Storage::Toggle);
    assert_eq!(layout.resources()[0].fields[0].default, Some((-9.81_f64).to_le_bytes().to_vec()));
    assert_eq!(layout.tables()[0], TableHint { components: vec!["position".into(), "alive".into()], rows: 1000 });
}

#[test]
fn a_unit_is_that_of_all_fields_without_their_own() {
    let text = r#"
name = "w"
[components.body]
unit = "m"
fields = { x = "f32", mass = { type = "f32", unit = "kg", description = "with \\ and \"" } }
[resources.clock]
unit = "s"
fields = { now = "f64" }
"#;
    let layout = Layout::parse(text, "w.toml").unwrap();
    let [x, mass] = &layout.components()[0].fields[..] else { panic!("two fields") };
    assert_eq!((x.unit.as_str(), x.description.as_str()), ("m", ""));
    assert_eq!((mass.unit.as_str(), mass.description.as_str()), ("kg", "with \\ and \""));
    assert_eq!(layout.resources()[0].fields[0].unit, "s");
    let long = "x".repeat(33);
    let error = component_error(&format!("a = {{ fields = {{ x = {{ type = \"u8\", unit = \"{long}\" }} }} }}"));
    assert!(error.starts_with("w.toml:3:") && error.contains("the unit of field `a.x` has 33 bytes"), "{error}");
    let error = component_error("a = { fields = { x = { type = \"u8\", description = \"a\\nb\" } } }");
    assert!(error.contains("without control characters"), "{error}");
}

/// What `Layout::parse` says about a file; the text may leave out the name line's end.
fn error(text: &str) -> String {
    Layout::parse(text, "w.toml").unwrap_err().to_string()
}

/// The error of a layout with this component line.
fn component_error(line: &str) -> String {
    error(&format!("name = \"w\"\n[components]\n{line}\n"))
}

/// The error of a field with this type and default.
fn default_error(ty: &str, default: &str) -> String {
    component_error(&format!("a = {{ fields = {{ x = {{ type = \"{ty}\", default = {default} }} }} }}"))
}

#[test]
fn errors_name_file_line_column_and_remedy() {
    let types = "types: f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool, entity, f16, bf16, unorm8, unorm16, snorm8, snorm16, and arrays such as \"[f32; 3]\"";
    assert_eq!(
        component_error("a = { fields = { x = \"float\" } }"),
        format!("w.toml:3:22: field `a.x` has the unknown type \"float\": did you mean `f32`?; {types}")
    );
    assert_eq!(
        error("name = \"w\"\n\n[components.a]\nstorge = \"table\"\n"),
        "w.toml:4:1: unknown key `storge` in component `a`; known keys: fields, storage, track_changes, unit; \
         did you mean `storage`?"
    );
    assert_eq!(
        error("name = \"w\"\n[components.Position]\nfields = { x = \"f32\" }\n"),
        "w.toml:2:13: component `Position` must be named in snake_case (a letter a-z, then a-z, 0-9 or _): \
         did you mean `position`?"
    );
    assert_eq!(
        component_error("a = {}\n[[tables]]\ncomponents = [\"a\", \"b\"]\nrows = 1"),
        "w.toml:5:20: table 0 names the unknown component `b`: did you mean `a`?"
    );
    assert_eq!(error("[components.a]\n"), "w.toml:1:1: the layout has no `name`; add `name = \"my_world\"`");
}

#[test]
fn every_wrong_part_is_refused() {
    let cases: &[(&str, &str)] = &[
        ("x = \"f32\"", "component `x` must be a table"),
        ("a = { x = \"f32\" }", "a field stands in fields = { x = \"f32\" }"),
        ("a = { fields = [\"x\"] }", "`fields` of `a` must be a table, such as { x = \"f32\" }"),
        ("a = { fields = { x = 3 } }", "must be a type such as \"f32\", or a table"),
        ("a = { fields = { x = { default = 3 } } }", "field `a.x` has no `type`"),
        ("a = { fields = { x = { type = \"f32\", defualt = 3 } } }", "did you mean `default`?"),
        ("a = { fields = { x = \"[f32, 3]\" } }", "did you mean `[f32; 3]`?"),
        ("a = { fields = { x = \"[float; 3]\" } }", "did you mean `[f32; 3]`?"),
        ("a = { fields = { x = \"[f32; 0]\" } }", "an array has 1 to 1024"),
        ("a = { fields = { x = \"[f32; 9999999999999]\" } }", "array of 9999999999999 elements"),
        ("a = { fields = { x = \"f33\" } }", "did you mean `f32`?"),
        ("a = { fields = { \"x.y\" = \"f32\" } }", "did you mean `x_y`?"),
        ("a = { storage = \"sparse\" }", "\"toggle\", \"scratch\", \"list\" or \"scratch_list\""),
        ("a = { storage = 1 }", "`storage` of component `a` must be a string, but is the integer 1"),
        ("a = { track_changes = 1 }", "must be true or false"),
        ("a = {}\na = {}", "not valid TOML: duplicate key"),
        ("a = ", "not valid TOML"),
        (
            "entity = {}",
            "w.toml:3:1: component `entity` has no published fields, so exports have a column of that name",
        ),
        (
            "frame = { storage = \"scratch\", fields = { x = \"f32\" } }",
            "w.toml:3:1: component `frame` has no published fields, so exports have a column of that name",
        ),
        (
            "time = { storage = \"toggle\" }",
            "`entity`, `frame`, `time`, `generation` are columns of their own; rename it",
        ),
        ("a = {}\n[resources]\ng = {}", "resource `g` has no fields"),
        ("a = {}\n[resources]\ng = { fields = { v = \"f32\" }, storage = 1 }", "unknown key `storage` in resource `g`"),
        ("a = {}\n[tables]\nrows = 1", "`tables` must be a list of tables, each begun with [[tables]]"),
        ("a = {}\n[[tables]]\nrows = 1", "table 0 has no `components`"),
        ("a = {}\n[[tables]]\ncomponents = [\"a\"]", "table 0 has no `rows`"),
        ("a = {}\n[[tables]]\ncomponents = [\"a\", \"a\"]\nrows = 1", "names component `a` twice"),
        ("a = {}\n[[tables]]\ncomponents = [\"a\"]\nrows = -1", "must be a number of rows, 0 or more"),
        ("a = {}\n[[tables]]\ncomponents = [\"a\"]\nrows = 5_000_000_000", "at most 4294967294 entities"),
        (
            "a = {}\nb = {}\n[[tables]]\ncomponents = [\"a\", \"b\"]\nrows = 1\n[[tables]]\ncomponents = [\"b\", \"a\"]\nrows = 1",
            "table 1 has the same components as table 0",
        ),
    ];
    for (text, part) in cases {
        let error = component_error(text);
        assert!(error.contains(part), "{text}\n gives {error}\n not {part}");
        assert!(error.starts_with("w.toml:"), "{error}");
    }
    let long = "a".repeat(65);
    assert!(component_error(&format!("{long} = {{}}")).contains("a name may have 64"));
    let fields: Vec<String> = (0..65).map(|i| format!("f{i} = \"u8\"")).collect();
    assert!(
        component_error(&format!("a = {{ fields = {{ {} }} }}", fields.join(", "))).contains("65 fields; at most 64")
    );
    let fields: Vec<String> = (0..9).map(|i| format!("f{i} = \"[f64; 1024]\"")).collect();
    assert!(component_error(&format!("a = {{ fields = {{ {} }} }}", fields.join(", "))).contains("73728 bytes"));
    assert!(error(&" ".repeat(LAYOUT_BYTES_MAX + 1)).contains("at most"));
}

#[test]
fn defaults_are_exact_or_refused() {
    for (ty, default, part) in [
        ("f32", "\"1\"", "must be a number, but is the string \"1\""),
        ("f32", "1e39", "which f32 cannot hold"),
        ("f32", "16777217", "which f32 cannot hold"),
        ("f32", "-nan", "which f32 cannot hold"),
        ("f64", "1e400", "which f64 cannot hold"),
        ("u8", "256", "which u8 cannot hold (0 to 255)"),
        ("u8", "-1", "which u8 cannot hold (0 to 255)"),
        ("i8", "128", "which i8 cannot hold (-128 to 127)"),
        ("u64", "18446744073709551616", "which u64 cannot hold"),
        ("i32", "1.0", "must be an integer, but is the float 1.0"),
        ("bool", "1", "must be true or false"),
        ("entity", "7", "must be \"null\""),
        ("[f32; 3]", "1.0", "must be an array of 3 elements, each a number"),
        ("[f32; 3]", "[1.0, 2.0]", "has 2 elements; its type [f32; 3] needs 3"),
        ("[u8; 2]", "[1, 300]", "which u8 cannot hold"),
    ] {
        let error = default_error(ty, default);
        assert!(error.contains(part), "{ty} = {default} gives {error}");
    }
    for (ty, default, bytes) in [
        ("f32", "0.1", 0.1_f32.to_le_bytes().to_vec()),
        ("f32", "1", 1_f32.to_le_bytes().to_vec()),
        ("f64", "-inf", f64::NEG_INFINITY.to_le_bytes().to_vec()),
        ("f32", "nan", f32::NAN.to_le_bytes().to_vec()),
        ("u64", "18446744073709551615", vec![0xff; 8]),
        ("i16", "-2", vec![0xfe, 0xff]),
        ("u32", "0xdead_beef", 0xdead_beef_u32.to_le_bytes().to_vec()),
        ("bool", "true", vec![1]),
        ("entity", "\"null\"", vec![0xff; 8]),
    ] {
        let text = format!("name = \"w\"\n[components.a.fields]\nx = {{ type = \"{ty}\", default = {default} }}\n");
        let layout = Layout::parse(&text, "w.toml").unwrap();
        assert_eq!(layout.components()[0].fields[0].default, Some(bytes), "{ty} = {default}");
    }
}

#[test]
fn bytes_max_takes_numbers_and_units() {
    for (text, bytes) in [
        ("1048576", 1 << 20),
        ("\"1048576\"", 1 << 20),
        ("\"2MiB\"", 2 << 20),
        ("\"3 GiB\"", 3 << 30),
        ("\"1 TiB\"", 1 << 40),
    ] {
        assert_eq!(Layout::parse(&format!("name = \"w\"\nbytes_max = {text}"), "w").unwrap().bytes_max(), bytes);
    }
    assert_eq!(Layout::parse("name = \"w\"", "w").unwrap().bytes_max(), BYTES_MAX_DEFAULT);
    for text in ["\"16 GB\"", "\"GiB\"", "-1", "\"99999999999 TiB\"", "\"1.5 GiB\""] {
        let error = error(&format!("name = \"w\"\nbytes_max = {text}"));
        assert!(error.contains("such as \"16 GiB\""), "{error}");
    }
    assert!(error("name = \"w\"\nbytes_max = 1000").contains("must lie between 1048576 (1 MiB)"));
    assert!(error("name = \"w\"\nbytes_max = true").contains("number of bytes"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Layout::from_file("/nonexistent/w.toml").unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/w.toml: cannot be read"), "{error}");
}

/// The README's example parses, and its error lines are what is said.
#[test]
fn the_readme_tells_the_truth() {
    let readme = include_str!("../../../layouts/README.md");
    let block = |fence: &str| readme.split(fence).nth(1).unwrap().split("```").next().unwrap();
    let layout = Layout::parse(block("```toml\n"), "README.md").unwrap();
    assert_eq!((layout.components().len(), layout.resources().len(), layout.tables().len()), (7, 1, 1));
    let errors = block("```text\n").replace("\n    ", " ");
    for error in [
        component_error("a = { fields = { x = \"float\" } }"),
        error("name = \"w\"\n\n[components.a]\nstorge = \"table\"\n"),
        error("name = \"w\"\n[components.Position]\n"),
        component_error("a = {}\n[[tables]]\ncomponents = [\"a\", \"b\"]\nrows = 1"),
        default_error("u8", "256"),
    ] {
        assert!(errors.contains(&error), "{error}");
    }
}

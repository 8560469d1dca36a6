//! What the compiler says to somebody who is new here: each mistake gets the message that says what to write.
#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The library that this test was built with, among the files beside it: the newest.
fn library(folder: &Path) -> PathBuf {
    let made = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let files = std::fs::read_dir(folder).expect("the folder of this test").flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("libhypostyle-") && name.ends_with(".rlib")
    };
    files.filter(is_it).max_by_key(made).expect("the library lies beside this test")
}

/// What the compiler says to this program; nothing, where it compiles.
fn complaint(program: &str) -> Option<String> {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().expect("in a folder");
    let temporary = tempfile::tempdir().expect("a folder for the program");
    let file = temporary.path().join("program.rs");
    std::fs::write(&file, format!("use hypostyle::*;\n{program}\n")).expect("it can be written");
    let compiler = Path::new(env!("CARGO")).with_file_name(format!("rustc{}", std::env::consts::EXE_SUFFIX));
    let done = Command::new(if compiler.exists() { compiler.as_path() } else { Path::new("rustc") })
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--color", "never"])
        .arg("--out-dir")
        .arg(temporary.path())
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("hypostyle={}", library(folder).display()))
        .arg(&file)
        .output()
        .expect("the compiler starts");
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The program does not compile, and the compiler says all of this.
fn says(program: &str, parts: &[&str]) {
    let text = complaint(program).unwrap_or_else(|| panic!("it compiles: {program}"));
    for part in parts {
        assert!(text.contains(part), "no `{part}` in what is said of {program}\n{text}");
    }
}

const POSITION: &str = "#[derive(Component, Clone, Copy)] pub struct Position { pub x: f32 }";

#[test]
fn what_is_right_compiles() {
    let program = format!(
        "{POSITION}
        pub fn f() -> System {{ System::rows::<(Write<Position>, Entities)>(\"f\", |_, (mut p, _)| p.x.map(|x| x)) }}"
    );
    assert_eq!(complaint(&program), None);
}

#[test]
fn a_component_is_no_query() {
    let program = format!("{POSITION}\npub fn f() -> System {{ System::rows::<Position>(\"f\", |_, _| ()) }}");
    says(&program, &["`Position` is not a query", "`Read<P>`", "`Write<P>`"]);
    let program =
        format!("{POSITION}\npub fn f() -> System {{ System::rows::<(Position, Entities)>(\"f\", |_, _| ()) }}");
    says(&program, &["`Position` is not a query", "`Read<P>`"]);
    let program =
        format!("{POSITION}\npub fn f() -> System {{ System::rows::<Read<&'static f32>>(\"f\", |_, _| ()) }}");
    says(&program, &["is not a component", "derive(Clone, Copy, hypostyle::Component)"]);
}

#[test]
fn plain_values_are_no_bundle() {
    for program in [
        "pub fn f(world: &mut World) { world.spawn(1.0f32).unwrap(); }",
        "pub struct P { pub x: f32 }\npub fn f(world: &mut World) { world.spawn((P { x: 1.0 },)).unwrap(); }",
    ] {
        says(program, &["hypostyle::Component)]"]);
    }
}

#[test]
fn a_field_is_pointed_at() {
    // line 1 is the `use`
    for (program, place, part) in [
        (
            "#[derive(Component, Clone, Copy)]\nstruct P {\n    a: f32,\n    b: usize,\n}",
            "program.rs:5:8",
            "use u32 or u64",
        ),
        ("#[derive(Component, Clone, Copy)]\nstruct P {\n    name: &'static str,\n}", "program.rs:4:11", "[u8; 16]"),
        ("#[derive(Resource, Clone, Copy)]\nstruct P {\n    at: (f32, f32),\n}", "program.rs:4:9", "[f32; 3]"),
        (
            "#[derive(Clone, Copy)]\nenum State { A }\n#[derive(Component, Clone, Copy)]\nstruct P {\n    state: State,\n}",
            "program.rs:6:12",
            "`State` cannot be a field of a component or resource",
        ),
        (
            "#[derive(Clone, Copy)]\nstruct V;\n#[derive(Component, Clone, Copy)]\nstruct P {\n    v: [V; 2],\n}",
            "program.rs:6:8",
            "such as `[f32; 3]`",
        ),
    ] {
        says(program, &[place, part]);
    }
}

#[test]
fn nested_structs_say_what_they_lack() {
    for (program, parts) in [
        (
            "#[derive(Clone, Copy)]\nstruct V { x: f32 }\n#[derive(Component, Clone, Copy)]\nstruct P(V);",
            ["program.rs:5:10", "add `#[derive(Clone, Copy, hypostyle::Field)]` to it"],
        ),
        (
            "#[derive(Component, Clone, Copy)]\nstruct Tag;\n#[derive(Component, Clone, Copy)]\nstruct P { tag: Tag }",
            ["program.rs:5:17", "`Tag` cannot be a field of a component or resource"],
        ),
        ("#[derive(Field, Clone, Copy)]\nenum V { A }", ["program.rs:3:1", "a field is a struct, not an enum"]),
        (
            "#[derive(Clone, Copy)]\nstruct V { x: f32 }\n#[derive(Bundle, Clone, Copy)]\nstruct B {\n    v: V,\n}",
            ["program.rs:6:8", "`V` is not a bundle"],
        ),
    ] {
        says(program, &parts);
    }
    let program = "#[derive(Field, Clone, Copy)] pub struct V(pub f32);
        #[derive(Component, Clone, Copy)] pub struct P(pub V);
        #[derive(Bundle, Clone, Copy)] pub struct B { pub p: P }
        pub fn f(world: &mut World, b: B) { world.spawn(b).unwrap(); }";
    assert_eq!(complaint(program), None);
}

#[test]
fn what_a_query_by_rows_only_reads_cannot_be_changed() {
    let program = format!(
        "{POSITION}
        pub fn f() -> System {{ System::for_each::<Read<Position>>(\"f\", |_, _, position| position.x += 1.0) }}"
    );
    says(&program, &["cannot assign to `position.x`"]);
}

#[test]
fn queries_and_bundles_are_sealed() {
    says(
        "pub struct Mine;\nimpl Query for Mine {\n    type Item<'a> = ();\n    fn describe(_: &(), _: &mut ()) {}\n}",
        &["Sealed"],
    );
    says(
        "#[derive(Clone, Copy)]\npub struct Mine;\nimpl Bundle for Mine {\n    const PACKED_BYTES: usize = 0;\n}",
        &["Sealed"],
    );
}

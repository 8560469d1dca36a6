//! The example in C, compiled as a user would and run on a live world.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hypostyle::{Component, RegionTarget, World};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f64,
}

/// Where cargo put the library: beside this test, or above.
fn library(begin: &str, end: &str) -> PathBuf {
    let beside = std::env::current_exe().expect("a path");
    let beside = beside.parent().expect("a directory");
    let newest = |directory: &Path| {
        let files = std::fs::read_dir(directory).expect("a directory").filter_map(Result::ok);
        let fitting = files.filter(|file| {
            let name = file.file_name();
            name.to_str().is_some_and(|name| name.starts_with(begin) && name.ends_with(end))
        });
        fitting.max_by_key(|file| file.metadata().and_then(|data| data.modified()).ok()).map(|file| file.path())
    };
    newest(beside).or_else(|| newest(beside.parent()?)).expect("cargo builds the library before its tests")
}

fn compile(to: &Path, libraries: &[&str]) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-o"]).arg(to);
    command.arg("-I").arg(manifest.join("../include")).arg(manifest.join("examples/read.c")).args(libraries);
    let output = command.output().expect("there is a C compiler: rustc links with it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(program: &Path, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(program).args(arguments).output().expect("it starts");
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    (output, text)
}

#[test]
fn the_example_reads_a_live_world() {
    let name = format!("capi-example-{}", std::process::id());
    let target = RegionTarget::Named(name.clone());
    let mut world = World::builder().component::<Position>().region(target).build().expect("a region");
    world.spawn_batch((0..1000).map(|i| Position { x: i as f32, y: 0.5 })).expect("there is room");
    world.publish().expect("there is room");

    let folder = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&folder).expect("a directory");
    let shared = library("libhypostyle_c", ".so");
    let beside = shared.parent().expect("a directory").to_str().expect("UTF-8").to_owned();
    let archive = library("libhypostyle_c", ".a");
    let ways = [
        ("dynamic", vec![shared.to_str().expect("UTF-8").to_owned(), format!("-Wl,-rpath,{beside}")]),
        ("static", vec![archive.to_str().expect("UTF-8").to_owned(), "-lpthread".into(), "-ldl".into(), "-lm".into()]),
    ];
    for (way, libraries) in ways {
        let program = folder.join(way);
        compile(&program, &libraries.iter().map(String::as_str).collect::<Vec<_>>());
        let (output, text) = run(&program, &[&name, "position.x", "1"]);
        assert!(output.status.success(), "{way}: {output:?}");
        assert_eq!(text, "generation 1 frame 0 entities 1000 rows 1000 sum 499500.0\n", "{way}");
        let (output, _) = run(&program, &[&name, "position.z", "1"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("position.x, position.y"), "{way}: {error}");
        let (output, _) = run(&program, &[&name, "position.y", "1"]);
        assert!(!output.status.success(), "{way}: another type is refused by the example");
        let (output, _) = run(&program, &["capi-there-is-none", "position.x", "1"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("there is no region capi-there-is-none"), "{way}: {error}");
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
    assert_eq!(world.entity_count(), 1000);
}

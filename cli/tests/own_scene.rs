//! The command line for scenes of a program's own: the template in `examples/template`, run as it is.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Output};

use hypostyle::{Schedule, World, WorldBuilder};
use hypostyle_cli::{Line, Scene, SceneOption, SceneOptions};

/// `cargo test` builds examples beside the tests; `cargo test --test own_scene` alone does not.
fn run(args: &[&str]) -> Output {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.push("own_scene");
    assert!(path.exists(), "{} is not built: run `cargo build -p hypostyle-cli --examples` first", path.display());
    Command::new(&path).args(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

fn stderr(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_scene_of_ones_own_has_all_of_run() {
    let list = stdout(&["scenes", "--json"]);
    assert!(list.contains("sparks") && list.contains("bounce") && !list.contains("particles"), "{list}");
    let hash = |more: &[&str]| {
        let args = ["run", "sparks", "--entities", "20000", "--frames", "60", "--bounce", "0.7", "--print-hash"];
        stdout(&[&args, more].concat())
    };
    let alone = hash(&["--workers", "local"]);
    assert!(alone.starts_with("state "), "{alone}");
    for workers in ["threads:2", "processes:2"] {
        assert_eq!(hash(&["--workers", workers]), alone, "{workers}");
    }
    let plan = stdout(&["plan", "sparks"]);
    assert!(plan.contains("fall") && plan.contains("bounce"), "{plan}");
}

#[test]
fn a_run_goes_on_from_its_checkpoint_with_its_options() {
    let directory = tempfile::tempdir().unwrap();
    let saved = directory.path().join("saved");
    let saved = saved.to_str().unwrap();
    let first = ["run", "sparks", "--entities", "5000", "--bounce", "0.9", "--print-hash"];
    let whole = stdout(&[&first[..], &["--frames", "50"]].concat());
    stdout(&[&first[..], &["--frames", "20", "--checkpoint", saved]].concat());
    assert_eq!(stdout(&["run", "sparks", "--from", saved, "--frames", "30", "--print-hash"]), whole);
    let told = stderr(&["run", "sparks", "--from", saved, "--frames", "1", "--bounce", "0.1"], 0);
    assert!(told.contains("--bounce is another than that of the checkpoint's run"), "{told}");
}

#[test]
fn what_is_wrong_is_told_with_the_programs_own_scenes() {
    let unknown = stderr(&["run", "spraks"], 2);
    assert!(unknown.contains("did you mean `sparks`") && !unknown.contains("particles"), "{unknown}");
    let value = stderr(&["run", "sparks", "--bounce", "2"], 2);
    assert!(value.contains("a number from 0 to 1"), "{value}");
}

#[test]
fn what_to_write_next_names_the_program_itself() {
    let usage = stderr(&["run", "sparks", "--bouncy", "1"], 2);
    assert!(usage.contains("`own_scene run --help` lists") && !usage.contains("hypostyle"), "{usage}");
    let missing = stderr(&["stats", "nobody-is-here"], 3);
    assert!(missing.contains("`own_scene list` shows"), "{missing}");
    let help = stdout(&["--help"]);
    assert!(help.contains("  own_scene run sparks --region demo") && !help.contains("particles"), "{help}");
    assert!(help.contains("Exit codes:") && help.contains("`own_scene COMMAND --help`"), "{help}");
}

/// A scene with an option of this name.
struct Odd(&'static [SceneOption]);

impl Scene for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }
    fn about(&self) -> &'static str {
        "nothing"
    }
    fn default_entities(&self) -> u64 {
        0
    }
    fn options(&self) -> &'static [SceneOption] {
        self.0
    }
    fn dt(&self) -> f64 {
        1.0
    }
    fn world(&self, _: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        Ok(builder.build()?)
    }
    fn schedule(&self, _: &SceneOptions) -> Schedule {
        Schedule::new()
    }
    fn observe(&self, _: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        Ok(Vec::new())
    }
}

#[test]
fn scenes_that_cannot_share_a_command_line_are_refused() {
    const FRAMES: &[SceneOption] = &[SceneOption { name: "frames", value: "N", about: "taken" }];
    let usage =
        |scenes| format!("{:?}", hypostyle_cli::main(scenes)) == format!("{:?}", std::process::ExitCode::from(2));
    assert!(usage(&[]));
    assert!(usage(&[&Odd(&[]), &Odd(&[])]));
    assert!(usage(&[&Odd(FRAMES)]));
}

#[test]
fn the_template_names_crates_that_are_there() {
    let template = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/template");
    let text = std::fs::read_to_string(template.join("Cargo.toml")).unwrap();
    let mut named = 0;
    for line in text.lines().filter(|line| line.contains("{ path = ")) {
        let (name, path) = (line.split(' ').next().unwrap(), line.split('"').nth(1).unwrap());
        let manifest = std::fs::read_to_string(template.join(path).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{line}");
        named += 1;
    }
    assert_eq!(named, 2);
}

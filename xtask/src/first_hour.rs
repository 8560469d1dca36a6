//! The newcomer's first hour, from an empty directory: the command, a world of one's own from the template with the
//! library by path, Python from the wheel, npm from the packed tarball, bundlers, and the page in Chromium.
//!
//! What the steps before have built is used again, so the times are not those of a machine where nothing is built:
//! `cargo xtask first-hour` takes those, from a clone to the first picture, in a target directory of its own.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::package;
use crate::process::{ask, run};
use crate::report::Outcome;
use crate::test::WASM;
use crate::tools::{cargo, clean, nightly_source, root, target, target_directory};
use crate::web::{chromium, done, node};

/// How long one thing may take that a newcomer does not wait for.
const SOON: Duration = Duration::from_mins(2);
/// Entities of runs that are looked at.
const ENTITIES: &str = "20k";
/// The run whose state pages of both bundlers reach.
const ENGINE_RUN: &[&str] =
    &["run", "particles", "--entities", "2000", "--seed", "5", "--frames", "30", "--print-hash"];
/// What bundles the package, and how it is asked to.
const BUNDLERS: &[Bundler] = &[
    Bundler { packages: &["vite"], build: "npx vite build --base ./ --outDir vite", folder: "vite" },
    Bundler {
        packages: &["webpack", "webpack-cli"],
        build: "npx webpack --mode production --output-path webpack && sed 's,/src/index.js,main.js,' index.html > webpack/index.html",
        folder: "webpack",
    },
];

struct Bundler {
    packages: &'static [&'static str],
    /// By its defaults: no file says anything to it.
    build: &'static str,
    folder: &'static str,
}

/// The way of a newcomer: where it goes, how long each part took, and what could not be had.
struct Way<'l> {
    left: &'l dyn Fn() -> Duration,
    /// The repository, as the newcomer has it.
    repository: PathBuf,
    /// The empty directory.
    place: PathBuf,
    /// Where programs are built.
    target: PathBuf,
    /// From a clone to the first picture, with nothing that another step built.
    cold: bool,
    times: Vec<(&'static str, Duration)>,
    skipped: Vec<String>,
}

/// A process that runs on while others look; it ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With what was built already.
pub(crate) fn test(left: Duration) -> Outcome {
    outcome(left, false)
}

/// From a clone to the first picture, with nothing built.
pub(crate) fn cold(left: Duration) -> Outcome {
    outcome(left, true)
}

fn outcome(left: Duration, cold: bool) -> Outcome {
    let begun = Instant::now();
    let left = || left.saturating_sub(begun.elapsed());
    let place = std::env::temp_dir().join(format!("hypostyle-first-hour-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&place) {
        return Outcome::Failed(format!("{}: {error}", place.display()));
    }
    let built = target_directory();
    let mut way = Way {
        left: &left,
        repository: if cold { place.join("hypostyle") } else { root().to_owned() },
        target: if cold { place.join("target") } else { built },
        place,
        cold,
        times: Vec::new(),
        skipped: Vec::new(),
    };
    let gone = way.go();
    print!("{}", way.table());
    let _ = std::fs::remove_dir_all(&way.place);
    match gone {
        Ok(()) => Outcome::Passed(way.note()),
        Err(why) => Outcome::Failed(why),
    }
}

impl Way<'_> {
    fn go(&mut self) -> Result<(), String> {
        if self.cold {
            let clone = format!("git clone --quiet {} hypostyle", root().display());
            self.timed("git clone", |way| way.shell("the clone", &clone, &way.place))?;
            return self.command();
        }
        self.command()?;
        let region = format!("first-hour-{}", std::process::id());
        let done = self.own_world(&region).and_then(|program| self.looks(&program, &region));
        let _ = ask(self.hypostyle().args(["clean", &region]), SOON);
        done
    }

    /// What the others look at: the run of the world of one's own, from Python, node, bundles and Chromium.
    fn looks(&mut self, program: &Path, region: &str) -> Result<(), String> {
        let live = ["run", "sparks", "--entities", ENTITIES, "--pace", "60", "--seconds", "3600", "--region", region];
        let _run = self.background(Command::new(program).args(live))?;
        let mut hash = Command::new(program);
        hash.args(["hash", region]);
        self.until("a first state of the run", || ask(&mut hash, SOON).is_some())?;
        match ask(Command::new("python3").arg("--version"), SOON) {
            Some(_) => self.python(region)?,
            None => self.skipped.push("Python: there is no `python3`".to_owned()),
        }
        // the engine's module with workers takes a nightly toolchain: a newcomer gets a package that has it
        match node().and_then(|()| target(WASM)).and_then(|()| nightly_source()) {
            Ok(()) => self.browsers(program, region),
            Err(why) => {
                self.skipped.push(format!("the package for browsers: {why}"));
                Ok(())
            }
        }
    }

    /// The command, and the first pictures: tables of a run, and who worked when.
    fn command(&mut self) -> Result<(), String> {
        let (install, home) = ("cargo install --quiet --locked --path cli --root", self.place.join("home"));
        let install = format!("{install} {}", home.display());
        self.timed("cargo install --path cli", |way| way.shell("the command", &install, &way.repository))?;
        self.timed("hypostyle run particles: first table", |way| {
            let run = ["run", "particles", "--entities", ENTITIES, "--frames", "100", "--trace", "run.json"];
            let table = way.ask(way.hypostyle().args(run))?;
            table.contains("time per frame").then_some(()).ok_or(format!("no table: {table}"))
        })?;
        self.timed("hypostyle trace -o run.svg: first picture", |way| {
            way.ask(way.hypostyle().args(["trace", "run.json", "-o", "run.svg"]))?;
            let svg = std::fs::read_to_string(way.place.join("run.svg")).map_err(|error| error.to_string())?;
            (svg.matches("<rect").count() > 10).then_some(()).ok_or("the picture has no boxes".to_owned())
        })
    }

    /// The template, copied, with its paths corrected; every line of its readme. The program.
    fn own_world(&mut self, region: &str) -> Result<PathBuf, String> {
        let folder = self.place.join("my-world");
        let template = self.repository.join("examples/template");
        let copy = format!("cp -r {} {}", template.display(), folder.display());
        self.shell("the template", &copy, &self.place)?;
        let manifest = folder.join("Cargo.toml");
        let text = read(&manifest)?.replace("path = \"../..", &format!("path = \"{}", self.repository.display()));
        write(&manifest, &text)?;
        self.as_built(&folder)?;
        let (target, program) = (self.target.clone(), self.target.join("release/my-world"));
        self.timed("a world of one's own: cargo build", |way| {
            let mut build = cargo("build --quiet --release");
            build.current_dir(&folder).env("CARGO_TARGET_DIR", &target);
            done("the template", &run(&mut build, (way.left)()))
        })?;
        let readme = read(&folder.join("README.md"))?;
        let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with("cargo run")).collect();
        if lines.len() < 5 {
            return Err(format!("the template's readme has {} commands", lines.len()));
        }
        self.timed("every command of its readme", |way| {
            lines.iter().try_for_each(|line| {
                let line = line.replace("run sparks", &format!("run sparks --entities {ENTITIES} --frames 30"));
                way.shell(
                    "a command of the template",
                    &line.replace("--region sparks", &format!("--region {region}")),
                    &folder,
                )
            })
        })?;
        self.ask(self.hypostyle().args(["clean", region]))?;
        Ok(program)
    }

    /// What a newcomer does not have: the versions and the options with which other steps have built the same crates.
    /// Crates of the repository, which know their workspace, are built anew: as quickly as can be.
    fn as_built(&self, folder: &Path) -> Result<(), String> {
        let workspace = read(&self.repository.join("Cargo.toml"))?;
        let (_, profile) = workspace.split_once("[profile.release]").ok_or("the workspace has no release profile")?;
        let profile = profile.split("\n\n").next().unwrap_or_default();
        // "hypostyle-scenes = { opt-level = 3 }"
        let lines = profile.lines().map(|line| match line.split_once(" = ") {
            Some((name, _)) if name.starts_with("hypostyle") => format!("{name} = {{ opt-level = 0 }}"),
            Some(("opt-level", _)) => format!("{line}\ndebug = false"),
            _ => line.to_owned(),
        });
        let own = "hypostyle-cli = { opt-level = 0 }";
        let config = format!("[profile.release]{}\n{own}\n", lines.collect::<Vec<_>>().join("\n"));
        std::fs::create_dir(folder.join(".cargo")).map_err(|error| error.to_string())?;
        write(&folder.join(".cargo/config.toml"), &config)?;
        std::fs::copy(self.repository.join("Cargo.lock"), folder.join("Cargo.lock"))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Wheel and command in an environment of their own, and a question to the run.
    fn python(&mut self, region: &str) -> Result<(), String> {
        // a newcomer gets it, or makes it once: that it can be made is shown by the step `python`
        let wheel = package::newest(self.left)?;
        let install = format!(
            "python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check {}",
            wheel.display()
        );
        self.timed("pip install: wheel and command", |way| way.shell("the wheel", &install, &way.place))?;
        let program = self.place.join("venv/bin/hypostyle");
        let version = self.ask(Command::new(program).arg("--version"))?;
        if version != self.ask(self.hypostyle().arg("--version"))? {
            return Err(format!("the wheel's command is {version}"));
        }
        let script = root().join("xtask/first-hour/ask.py");
        let mut question = Command::new(self.place.join("venv/bin/python"));
        question.arg(script).arg(region);
        self.timed("Python: a state of the run", |way| {
            let answer = way.ask(&mut question)?;
            println!("python: {}", answer.trim());
            answer.contains("mean height").then_some(()).ok_or(answer)
        })
    }

    /// The package from its tarball: in node, in bundles, and the gateway's page.
    fn browsers(&mut self, program: &Path, region: &str) -> Result<(), String> {
        let folder = self.place.join("page");
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        self.package(&folder)?;
        let (port, pages) = (free_port()?, free_port()?);
        let listen = format!("127.0.0.1:{port}");
        let origin = format!("http://127.0.0.1:{pages}");
        let gateway = ["gateway", region, "--listen", &listen, "--allow-origin", &origin];
        let _gateway = self.background(Command::new(program).args(gateway))?;
        self.until("the gateway", || std::net::TcpStream::connect(&listen).is_ok())?;
        copy("read.mjs", &folder.join("read.mjs"))?;
        self.timed("node: a column, live", |way| {
            way.shell("node", &format!("node read.mjs ws://{listen}/live"), &folder)
        })?;
        self.bundles(&folder, &listen, pages)
    }

    /// `npm pack` and `npm install` in an empty folder.
    fn package(&mut self, folder: &Path) -> Result<(), String> {
        let pack = format!("npm pack --silent --pack-destination {}", self.place.display());
        let web = self.repository.join("web");
        self.shell("npm pack", &pack, &web)?;
        let install = "npm init --yes >/dev/null && npm pkg set type=module && npm install --silent --no-audit --no-fund ../hypostyle-view-*.tgz ws";
        self.timed("npm install: the package", |way| way.shell("npm install", install, folder))
    }

    /// What bundlers make of the package, by their defaults, and the pages in Chromium.
    fn bundles(&mut self, folder: &Path, gateway: &str, port: u16) -> Result<(), String> {
        std::fs::create_dir(folder.join("src")).map_err(|error| error.to_string())?;
        copy("page.js", &folder.join("src/index.js"))?;
        copy("index.html", &folder.join("index.html"))?;
        let mut made = Vec::new();
        for bundler in BUNDLERS {
            let get = format!("npm install --silent --no-audit --no-fund {}", bundler.packages.join(" "));
            if let Err(why) = self.shell("npm install", &get, folder) {
                self.skipped.push(format!("{}: {why}", bundler.folder));
                continue;
            }
            let what = if bundler.folder == "vite" { "vite build" } else { "webpack" };
            self.timed(what, |way| way.shell(bundler.folder, bundler.build, folder))?;
            made.push(folder.join(bundler.folder));
        }
        let chromium = match chromium() {
            Ok(path) => path,
            Err(why) => {
                self.skipped.push(why);
                return Ok(());
            }
        };
        let picture = self.target.join("first-hour.png");
        let mut browse = Command::new("node");
        browse.arg(root().join("xtask/first-hour/browse.mjs")).arg(self.repository.join("web")).arg(chromium);
        browse.arg(gateway).arg(&picture).arg(port.to_string()).args(&made);
        let mut native = self.hypostyle();
        self.timed("Chromium: the page, and each bundle", |way| {
            let seen = way.ask(&mut browse)?;
            let hash = way.ask(native.args(ENGINE_RUN))?;
            let hash = hash.trim().trim_start_matches("state ");
            let right = |line: &&str| {
                line.contains(hash) && line.contains("\"mode\":\"workers\"") && line.contains("\"heights\":20000")
            };
            let right = seen.lines().filter(right).count();
            if hash.len() != 16 || right != made.len() {
                return Err(format!("the native state is {hash}; pages of {} bundles saw\n{seen}", made.len()));
            }
            Ok(())
        })?;
        println!("the page: {}", picture.display());
        Ok(())
    }

    fn hypostyle(&self) -> Command {
        let mut command = Command::new(self.place.join("home/bin/hypostyle"));
        command.current_dir(&self.place);
        command
    }

    fn timed(&mut self, what: &'static str, act: impl FnOnce(&Self) -> Result<(), String>) -> Result<(), String> {
        let begun = Instant::now();
        act(self).map_err(|why| format!("{what}: {why}"))?;
        self.times.push((what, begun.elapsed()));
        Ok(())
    }

    /// Runs a line of a shell, as a newcomer types it.
    fn shell(&self, what: &str, line: &str, folder: &Path) -> Result<(), String> {
        let mut command = clean("bash");
        command.args(["-euo", "pipefail", "-c", line]).current_dir(folder).env("CARGO_TARGET_DIR", &self.target);
        done(what, &run(&mut command, (self.left)()))
    }

    /// What a program says that must succeed.
    fn ask(&self, command: &mut Command) -> Result<String, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("{name}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("{name}: {}\n{said}", output.status)) }
    }

    fn background(&self, command: &mut Command) -> Result<Running, String> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(&self.place);
        quiet.spawn().map(Running).map_err(|error| error.to_string())
    }

    fn until(&self, what: &str, mut is: impl FnMut() -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !is() {
            if begun.elapsed() > SOON.min((self.left)()) {
                return Err(format!("{what}: not within {} s", SOON.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn table(&self) -> String {
        let built = if self.cold { "nothing was built" } else { "with what other steps have built" };
        let mut table = format!("\nthe newcomer's path, {built}\n");
        let mut sum = Duration::ZERO;
        for (what, time) in &self.times {
            sum += *time;
            let _ = writeln!(table, "{what:<44} {:>7.1} s {:>8.1} s", time.as_secs_f64(), sum.as_secs_f64());
        }
        for why in &self.skipped {
            let _ = writeln!(table, "SKIPPED {why}");
        }
        table
    }

    fn note(&self) -> String {
        let seconds: f64 = self.times.iter().map(|(_, time)| time.as_secs_f64()).sum();
        let skipped: String = self.skipped.iter().map(|why| format!("; SKIPPED {why}")).collect();
        format!("{} parts in {seconds:.0} s{skipped}", self.times.len())
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Copies one of this step's files.
fn copy(name: &str, to: &Path) -> Result<(), String> {
    write(to, &read(&root().join("xtask/first-hour").join(name))?)
}

/// A port that is free now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| error.to_string())
}

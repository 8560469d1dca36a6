//! The web package and the page: types, unit tests, the page in Chromium, and both against a real gateway.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Finished, ask, run};
use crate::report::Outcome;
use crate::tools::{cargo, debian, root, target_directory};

/// How long a question to node may take.
const ASK: Duration = Duration::from_mins(1);
/// How long packages may take to come.
const GET: Duration = Duration::from_mins(5);
/// The oldest node that will do.
const NODE_MIN: u32 = 20;
/// Where a Chromium may be.
const CHROMIUM: &[&str] = &["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// Builds and tests the package and the page.
pub(crate) fn test(left: Duration) -> Outcome {
    let begun = Instant::now();
    match steps(&|| left.saturating_sub(begun.elapsed())) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

fn steps(left: &dyn Fn() -> Duration) -> Result<Outcome, String> {
    let web = root().join("web");
    if let Err(why) = node() {
        return Ok(Outcome::Skipped(why));
    }
    if let Err(why) = packages(&web) {
        return Ok(Outcome::Skipped(why));
    }
    let npm = |script: &str| {
        let mut command = Command::new("npm");
        command.args(["run", "--silent", script]).current_dir(&web);
        command
    };
    done("types, and whether page.js is up to date", &run(&mut npm("check"), left()))?;
    done("the unit tests", &run(&mut npm("test"), left()))?;
    let chromium = chromium();
    if let Ok(path) = &chromium {
        done("the page in Chromium", &run(npm("test:page").env("HYPOSTYLE_CHROMIUM", path), left()))?;
    }
    done("the program", &run(&mut cargo("build --locked --package hypostyle-cli --bin hypostyle"), left()))?;
    let target = target_directory();
    let mut live = npm("test:live");
    live.env("HYPOSTYLE_PROGRAM", target.join("debug/hypostyle"));
    if let Ok(path) = &chromium {
        live.env("HYPOSTYLE_CHROMIUM", path);
    }
    done("the tests against a real gateway", &run(&mut live, left()))?;
    Ok(match chromium {
        Ok(_) => Outcome::Passed("package, page and live streams".to_owned()),
        Err(why) => Outcome::Skipped(format!("package and live streams are well; the page was not looked at: {why}")),
    })
}

pub(crate) fn done(what: &str, finished: &Finished) -> Result<(), String> {
    finished.error().map_or(Ok(()), |error| Err(format!("{what}: {error}")))
}

/// Whether node and npm are here, and new enough.
pub(crate) fn node() -> Result<(), String> {
    let version = ask(Command::new("node").arg("--version"), ASK).ok_or("node is not installed")?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MIN) {
        return Err(format!("node is {}; version {NODE_MIN} or later is needed", version.trim()));
    }
    ask(Command::new("npm").arg("--version"), ASK).map(drop).ok_or_else(|| "npm is not installed".to_owned())
}

/// Gets the packages that the lock file names, where they are not here.
pub(crate) fn packages(web: &Path) -> Result<(), String> {
    let modified = |path: PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let here = modified(web.join("node_modules/.package-lock.json"));
    if here.is_some() && here >= modified(web.join("package-lock.json")) {
        return Ok(());
    }
    let mut get = Command::new("npm");
    get.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(web);
    run(&mut get, GET).error().map_or(Ok(()), |error| Err(format!("npm packages cannot be had: {error}")))
}

/// A Chromium's path, after an attempt to get Debian's where there is none.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    let named = std::env::var_os("HYPOSTYLE_CHROMIUM").map(PathBuf::from);
    let find = || {
        let known = CHROMIUM.iter().map(PathBuf::from);
        named.clone().into_iter().chain(known).find(|path| path.is_file())
    };
    debian("Chromium", &["chromium"], || find().is_some())?;
    find().ok_or_else(|| "Chromium went away".to_owned())
}

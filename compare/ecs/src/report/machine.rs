//! What the results depend on: machine, compiler, flags, versions.
#![forbid(unsafe_code)]

use std::process::Command;

use crate::row::Row;

/// Whether the build uses more of the processor than its target's baseline.
pub fn native() -> bool {
    cfg!(target_feature = "avx2")
}

/// How peers are built, where it is not their default.
const SETTINGS: &str =
    "bevy_ecs with threads and without reflection; flecs_ecs without its safety locks, as it advises for speed";

/// Lines of (what, which).
pub fn header(cores: usize, rows: &[Row]) -> Vec<(String, String)> {
    let mut lines = vec![
        ("date".to_owned(), date()),
        ("processor".to_owned(), processor()),
        ("cores".to_owned(), cores.to_string()),
        ("memory".to_owned(), memory()),
        ("system".to_owned(), ask("uname", &["-srm"])),
        ("compiler".to_owned(), ask("rustc", &["--version"])),
        ("flags".to_owned(), flags()),
        ("settings".to_owned(), SETTINGS.to_owned()),
    ];
    let used = |engine: &str| rows.iter().any(|row| row.engine == engine || row.engine.starts_with(engine));
    let mut versions: Vec<String> = locked(include_str!("../../../Cargo.lock"))
        .into_iter()
        .filter(|(name, _)| ["bevy_ecs", "hecs", "flecs_ecs", "shipyard", "heed", "iceoryx2"].contains(name))
        .filter(|(name, _)| used(name))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    versions.insert(0, format!("hypostyle {}", hypostyle_version()));
    versions.extend(web_versions().into_iter().filter(|version| {
        version.split(' ').next().is_some_and(|name| rows.iter().any(|row| row.engine.eq_ignore_ascii_case(name)))
    }));
    lines.push(("engines".to_owned(), versions.join(", ")));
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

fn flags() -> String {
    let target = if native() { "`-C target-cpu=native`" } else { "the target's baseline (x86-64: SSE2)" };
    let profile = if cfg!(debug_assertions) { "dev profile" } else { "release profile, one codegen unit" };
    format!("{target}, {profile}, the same for all engines")
}

/// Name and version of each package of a lock file.
fn locked(lock: &str) -> Vec<(&str, &str)> {
    let mut packages = Vec::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(rest) = line.strip_prefix("name = \"") {
            name = Some(rest.trim_end_matches('"'));
        } else if let (Some(rest), Some(name)) = (line.strip_prefix("version = \""), name) {
            packages.push((name, rest.trim_end_matches('"')));
        }
    }
    packages
}

fn hypostyle_version() -> String {
    let locked = locked(include_str!("../../../Cargo.lock"));
    let version = locked.iter().find(|(name, _)| *name == "hypostyle").map_or("", |(_, version)| version);
    let commit = ask("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]);
    if commit.is_empty() { version.to_owned() } else { format!("{version} ({commit})") }
}

/// `name version` of the npm packages, from their manifest.
fn web_versions() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/package.json");
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else { return Vec::new() };
    let Some(packages) = json["dependencies"].as_object() else { return Vec::new() };
    packages
        .iter()
        .map(|(name, version)| {
            let name = name.rsplit('/').next().unwrap_or(name);
            format!("{name} {}", version.as_str().unwrap_or_default())
        })
        .collect()
}

fn date() -> String {
    ask("date", &["-u", "+%Y-%m-%d"])
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cache = value("cache size").map(|size| format!(", {size} cache")).unwrap_or_default();
    value("model name").map(|name| name + &cache).unwrap_or_default()
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: u64| format!("{:.0} GiB", kib as f64 / f64::from(1 << 20))).unwrap_or_default()
}

fn ask(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        assert_eq!(locked(lock), [("a", "1.2.3"), ("b", "0.1.0")]);
        assert!(!hypostyle_version().is_empty());
    }
}

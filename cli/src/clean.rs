//! `clean`: lists what dead processes left behind, and removes it where that is asked for. What a living process holds is
//! never touched: the library refuses.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use hypostyle::RegionTarget;
use hypostyle::regions::Residue;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::format::{Format, put_data};
use crate::text;

/// What to remove.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Remove this region: stale, kept or unreadable, but not live.
    #[arg(value_name = "NAME|DIR", conflicts_with_all = ["all_stale", "directory", "older_than"])]
    region: Option<RegionTarget>,
    /// Remove everything that dead processes left: regions that were not kept, unfinished regions, memory of workers,
    /// unfinished checkpoints. Without this option and without a region they are only listed.
    #[arg(long)]
    all_stale: bool,
    /// Remove nothing; print what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Only what has not changed for this long: 90s, 30m, 12h, 7d.
    #[arg(long, value_name = "AGE", value_parser = parse_age, default_value = "0s")]
    older_than: Duration,
    /// Search this directory (default: the named regions).
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// How to print what is found; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let how = || format!("`{text}` is no age: write a number and s, m, h or d, as in 90s or 12h");
    let (number, seconds) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => return Err(how()),
    };
    let number: u64 = number.parse().map_err(|_| how())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(how)
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    if let Some(target) = &args.region {
        return one(args, target, format, out);
    }
    let removes = args.all_stale && !args.dry_run;
    let directory = args.directory.as_deref();
    let found = match removes {
        true => hypostyle::regions::clean_stale(directory, args.older_than)?,
        false => hypostyle::regions::residue(directory, args.older_than)?,
    };
    if format != Format::Table {
        return put_found(format, found.iter().map(residue_json).collect(), removes, out);
    }
    for residue in &found {
        let word = if removes { "removed " } else { "" };
        let (path, kind, bytes) = (residue.path.display(), &residue.kind, text::bytes(residue.bytes));
        writeln!(out, "{word}{path}: {kind}, {bytes}, {} old", text::time(residue.age))?;
    }
    match (found.is_empty(), removes) {
        (true, _) => writeln!(out, "no stale regions or files")?,
        (false, true) => {}
        (false, false) => {
            writeln!(out, "nothing was removed: `{} clean --all-stale` removes these", crate::usage::program())?;
        }
    }
    Ok(())
}

/// For programs: what is removed, or what would be.
fn put_found(format: Format, found: Vec<Value>, is_removed: bool, out: &mut dyn Write) -> Outcome {
    let mut rows = found.clone();
    rows.iter_mut().for_each(|row| row["removed"] = json!(is_removed));
    let (removed, found) = if is_removed { (found, Vec::new()) } else { (Vec::new(), found) };
    let columns = ["name", "path", "kind", "bytes", "age_seconds", "removed"];
    put_data(format, &json!({ "removed": removed, "found": found }), &columns, &rows, out)
}

fn one(args: &Args, target: &RegionTarget, format: Format, out: &mut dyn Write) -> Outcome {
    let info = hypostyle::regions::inspect(target);
    if !args.dry_run {
        hypostyle::regions::clean(target).map_err(|error| Failure::from(error).before("not removed"))?;
    }
    if format != Format::Table {
        let told = json!({ "name": info.name, "path": info.path, "kind": "region", "bytes": info.bytes_backed });
        return put_found(format, vec![told], !args.dry_run, out);
    }
    let word = if args.dry_run { "would be removed" } else { "removed" };
    let (bytes, frames) = (text::bytes(info.bytes_backed), info.frames);
    Ok(writeln!(out, "{word} {} ({bytes}, {frames} frames)", info.name)?)
}

fn residue_json(residue: &Residue) -> Value {
    let name = residue.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = match &residue.kind {
        hypostyle::regions::ResidueKind::Region(info) => Some(info.name.clone()),
        _ => name,
    };
    json!({
        "name": name,
        "path": residue.path,
        "kind": residue.kind.to_string(),
        "bytes": residue.bytes,
        "age_seconds": residue.age.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(parse_age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_age("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_age("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "h", "5", "-1s", "1.5h", "99999999999999999999d", "1 h"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}

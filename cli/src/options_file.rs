//! `run --options FILE`: options of a run in a TOML file, `frames = 100` for `--frames 100`.
//!
//! They are put into the command line as if they stood there, except those that do stand there, which win. So a file can
//! have each option of the command, and of the scene, and what is wrong with one is told as on the command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::Path;

use toml::Value;

use crate::failure::{self, Failure, Outcome};

/// The option that names the file.
const OPTION: &str = "--options";

/// The command line with the options of the file that it names, if it names one.
pub(crate) fn expanded(args: Vec<OsString>) -> Outcome<Vec<OsString>> {
    let texts: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let Some(at) = texts.iter().position(|arg| arg == OPTION || arg.starts_with("--options=")) else { return Ok(args) };
    let path = match texts[at].split_once('=') {
        Some((_, path)) => path.to_owned(),
        // that it is missing is told when the command line is parsed
        None => match texts.get(at + 1) {
            Some(path) => path.clone(),
            None => return Ok(args),
        },
    };
    let given = |name: &str| {
        texts.iter().any(|arg| arg.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    };
    let mut out = args;
    for (name, value) in read(Path::new(&path))? {
        let option = format!("--{name}");
        if option == OPTION {
            return Err(wrong(&path, "a file of options names no other file: leave `options` out"));
        }
        if given(&option) {
            continue;
        }
        match text(&value) {
            Some(Some(value)) => out.push(format!("{option}={value}").into()),
            Some(None) => out.push(option.into()),
            None if value == Value::Boolean(false) => {}
            None => {
                let kind = value.type_str();
                return Err(wrong(
                    &path,
                    &format!("`{name}` is a {kind}: write a number, a text, a list of them, or true"),
                ));
            }
        }
    }
    Ok(out)
}

fn wrong(path: &str, what: &str) -> Failure {
    Failure::usage(format!("{path}: {what}"))
}

fn read(path: &Path) -> Outcome<toml::Table> {
    let at = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::from(error).before(&format!("cannot read {at}")))?;
    text.parse().map_err(|error: toml::de::Error| {
        Failure::new(failure::USAGE, format!("{at}: not a file of options: {}", error.to_string().replace('\n', " ")))
    })
}

/// An option's value; none inside for one that has none, `keep = true`.
fn text(value: &Value) -> Option<Option<String>> {
    Some(match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Array(values) => {
            let parts = values.iter().map(|value| text(value).flatten()).collect::<Option<Vec<_>>>()?;
            Some(parts.join(","))
        }
        Value::Boolean(true) => None,
        Value::Boolean(false) | Value::Datetime(_) | Value::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(file: &str, words: &str) -> Result<String, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.toml");
        std::fs::write(&path, file).expect("written");
        let words = words.replace("FILE", &path.display().to_string());
        let out = expanded(words.split(' ').map(OsString::from).collect())
            .map_err(|failure| failure.message.unwrap_or_default())?;
        let out: Vec<String> = out.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        Ok(out.join(" ").replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn options_of_a_file_stand_on_the_command_line() {
        let file =
            "frames = 100\nbounce = 0.5\nworkers = \"threads:2\"\nradii = [0.4, 0.5]\nkeep = true\nresume = false\n";
        let whole = with(file, "hypostyle run spheres --options FILE --frames=7").expect("fine");
        let words: Vec<&str> = whole.split(' ').collect();
        assert_eq!(words[..6], ["hypostyle", "run", "spheres", "--options", "FILE", "--frames=7"]);
        let mut rest = words[6..].to_vec();
        rest.sort_unstable();
        assert_eq!(rest, ["--bounce=0.5", "--keep", "--radii=0.4,0.5", "--workers=threads:2"]);
        assert_eq!(with("", "hypostyle run x").expect("no file"), "hypostyle run x");
        assert_eq!(with("", "hypostyle run x --options").expect("told later"), "hypostyle run x --options");
    }

    #[test]
    fn what_is_wrong_with_a_file_names_it() {
        for (file, what) in [
            ("frames = ", "not a file of options"),
            ("frames = { a = 1 }", "`frames` is a table"),
            ("options = \"b\"", "names no other"),
        ] {
            let told = with(file, "hypostyle run x --options=FILE").expect_err(file);
            assert!(told.contains(what) && told.contains("run.toml"), "{told}");
        }
        let missing = with("", "hypostyle run x --options /nowhere.toml").expect_err("missing");
        assert!(missing.contains("cannot read /nowhere.toml"), "{missing}");
    }
}

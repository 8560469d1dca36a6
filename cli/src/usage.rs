//! A command line that is wrong, told in one line: what is wrong, what may be meant, where all options are listed.
#![forbid(unsafe_code)]

use std::path::Path;

use clap::error::ErrorKind;

/// The name under which this program was started: that of a program of one's own, where it is one.
pub(crate) fn program() -> String {
    let started = std::env::args_os().next();
    let name =
        started.as_deref().map(Path::new).and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "hypostyle".to_owned())
}

/// The error in one line; nothing where it is a page of help.
pub(crate) fn one_line(error: &clap::Error, program: &str, subcommands: &[&str], args: &[String]) -> Option<String> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let kept = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let kept = kept.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let mut told = String::new();
    for line in kept {
        // a list of what is missing follows a colon
        let joint = if told.is_empty() {
            ""
        } else if told.ends_with(':') {
            " "
        } else {
            "; "
        };
        told.push_str(joint);
        told.push_str(line.strip_prefix("tip: ").unwrap_or(line));
    }
    let command = args.iter().find(|arg| subcommands.contains(&arg.as_str()));
    let command = command.map_or_else(String::new, |command| format!(" {command}"));
    Some(format!("{told}; `{program}{command} --help` lists all options"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str) -> Option<String> {
        let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let run = clap::Command::new("run")
            .arg(clap::Arg::new("frames").long("frames").value_parser(clap::value_parser!(u8)));
        let run = run.arg(clap::Arg::new("scene").required(true));
        let command = clap::Command::new("hypostyle").subcommand(run).subcommand_required(true);
        let error = command.try_get_matches_from(std::iter::once("hypostyle".to_owned()).chain(args.clone())).err()?;
        one_line(&error, "my-world", &["run"], &args)
    }

    #[test]
    fn errors_are_one_line_with_what_may_be_meant() {
        let unknown = told("run x --frmaes 3").expect("an error");
        assert!(
            !unknown.contains('\n') && unknown.contains("'--frmaes'") && unknown.contains("'--frames'"),
            "{unknown}"
        );
        assert!(unknown.ends_with("; `my-world run --help` lists all options"), "{unknown}");
        let value = told("run x --frames many").expect("an error");
        assert!(!value.contains('\n') && value.contains("'many' for '--frames <frames>'"), "{value}");
        let missing = told("run").expect("an error");
        assert!(!missing.contains('\n') && missing.contains("<scene>"), "{missing}");
        assert_eq!((told("--help"), told("run x")), (None, None));
    }
}

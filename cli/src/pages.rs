//! Completions for shells and manual pages, made of the command's own description.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap_complete::Shell;

use crate::failure::{Failure, Outcome};

#[derive(clap::Args)]
pub struct Args {
    /// Directory for the files; made where it is missing.
    directory: PathBuf,
}

/// Writes the completions of all shells, and a manual page for each command.
pub fn run(args: &Args, out: &mut dyn std::io::Write) -> Outcome {
    let made = write(&args.directory, &crate::usage::program());
    let made = made.map_err(|error| Failure::from(error).before(&args.directory.display().to_string()))?;
    made.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?;
    Ok(())
}

fn write(directory: &Path, program: &str) -> std::io::Result<Vec<PathBuf>> {
    let (completions, man) = (directory.join("completions"), directory.join("man/man1"));
    std::fs::create_dir_all(&completions)?;
    std::fs::create_dir_all(&man)?;
    let mut made = Vec::new();
    for shell in Shell::value_variants() {
        made.push(clap_complete::generate_to(*shell, &mut crate::command(program), program, &completions)?);
    }
    clap_mangen::generate_to(crate::command(program), &man)?;
    let mut pages = std::fs::read_dir(&man)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    pages.sort();
    made.extend(pages);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands below one another with their names, hidden ones left out.
    fn walk(command: &clap::Command, name: &str, each: &mut dyn FnMut(&str, &clap::Command)) {
        each(name, command);
        for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
            walk(below, &format!("{name}-{}", below.get_name()), each);
        }
    }

    #[test]
    fn every_command_and_option_is_in_them() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let made = write(directory.path(), "hypostyle").expect("it can be written");
        let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).expect(path);
        let shells =
            ["hypostyle.bash", "_hypostyle", "hypostyle.fish"].map(|file| read(&format!("completions/{file}")));
        let (mut commands, mut options) = (0, 0);
        let mut command = crate::command("hypostyle");
        command.build();
        walk(&command, "hypostyle", &mut |name, command| {
            commands += 1;
            let page = read(&format!("man/man1/{name}.1"));
            assert!(shells.iter().all(|text| text.contains(command.get_name())), "{name}");
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                let Some(long) = option.get_long() else { continue };
                options += 1;
                assert!(page.contains(&format!("\\-\\-{}", long.replace('-', "\\-"))), "{name}.1 lacks --{long}");
                for text in &shells {
                    // fish names options without their dashes
                    assert!(
                        text.contains(&format!("--{long}")) || text.contains(&format!("-l {long}")),
                        "{name}: --{long}"
                    );
                }
            }
        });
        assert!(commands >= 22 && options > 100, "{commands} commands, {options} options");
        assert!(!made.iter().any(|path| path.to_string_lossy().contains("worker")), "hidden commands have no page");
    }
}

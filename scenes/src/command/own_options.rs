//! The options that only one scene has, as options of the commands that take a scene.
//!
//! All scenes' options are declared on the command line, under a heading of their own; those of another scene than the
//! chosen one are refused with the scene that has them.
#![forbid(unsafe_code)]

use clap::{Arg, ArgMatches, Command};

use crate::{Scene, SceneOption};

/// The options that were given.
#[derive(Clone, Debug, Default)]
pub struct OwnOptions {
    given: Vec<(String, String)>,
}

impl OwnOptions {
    /// Those that the scene has, as given.
    ///
    /// # Errors
    /// One that it does not have.
    pub fn of(&self, scene: &dyn Scene) -> Result<Vec<(String, String)>, String> {
        for (name, _) in &self.given {
            if !scene.options().iter().any(|option| option.name == name) {
                let having = declared().filter(|(_, option)| option.name == name).map(|(scene, _)| scene.name());
                let having = having.collect::<Vec<_>>().join(", ");
                return Err(format!("--{name} is an option of scene {having}, not of {}", scene.name()));
            }
        }
        Ok(self.given.clone())
    }
}

fn declared() -> impl Iterator<Item = (&'static dyn Scene, &'static SceneOption)> {
    super::all().iter().flat_map(|scene| scene.options().iter().map(move |option| (*scene, option)))
}

impl clap::FromArgMatches for OwnOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = OwnOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (_, option) in declared() {
            let known = self.given.iter().any(|(name, _)| name == option.name);
            if let (false, Some(value)) = (known, matches.get_one::<String>(option.name)) {
                self.given.push((option.name.to_owned(), value.clone()));
            }
        }
        Ok(())
    }
}

impl clap::Args for OwnOptions {
    fn augment_args(mut command: Command) -> Command {
        let mut names: Vec<&str> = Vec::new();
        for (scene, option) in declared() {
            if names.contains(&option.name) {
                // another scene has it, too
                command = command.mut_arg(option.name, |arg| {
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    arg.help(format!("{help}; {}: {}", scene.name(), option.about))
                });
                continue;
            }
            names.push(option.name);
            let help = format!("{}: {}", scene.name(), option.about);
            let arg = Arg::new(option.name).long(option.name).value_name(option.value).help(help);
            command = command.arg(arg.help_heading("Options of one scene"));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

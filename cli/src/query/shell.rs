//! Question after question: of the newest generation each time, or of one that is held.
#![forbid(unsafe_code)]

use std::io::{BufRead as _, IsTerminal as _, Write};
use std::time::Instant;

use clap::ValueEnum as _;
use hypostyle::export::query::Asked;

use crate::failure::{Failure, Outcome};
use crate::format::Format;
use crate::table::Table;
use crate::text;

use super::asked::{ROWS_SHOWN, State, put};
use super::names;
use super::statement::{self, Statement};
use super::terminal::{Line, Terminal};

/// Commands, and what they do.
pub(super) const COMMANDS: [(&str, &str); 7] = [
    (".columns", "the columns of the table `world`, and their types"),
    (".format table|csv|ndjson|json", "how answers are printed"),
    (".help", "this"),
    (".hold", "ask the generation of this moment from now on, while the world goes on"),
    (".limit N", "how many rows are printed; `.limit all`: every row"),
    (".quit", "the end, as Ctrl-D"),
    (".release", "ask the newest generation again"),
];
const QUESTIONS: &str = "\
position.x > 10 and hot     the entities for which this is true
select avg(mass.kg)
  from world;               any SQL of DataFusion, up to a `;`
";

/// A generation that is held.
struct Held {
    asked: Asked,
    frame: u64,
}

/// What was typed last, and how it is to be answered.
pub(super) struct Shell {
    state: State,
    held: Option<Held>,
    /// What conditions select.
    columns: String,
    limit: Option<usize>,
    format: Format,
    /// Whether somebody looks on.
    is_watched: bool,
}

impl Shell {
    pub(super) fn new(state: State, columns: String, limit: Option<usize>, format: Format) -> Shell {
        Shell { state, held: None, columns, limit, format, is_watched: false }
    }

    /// Reads questions until there are no more. From a pipe, the first that cannot be answered ends it.
    pub(super) fn run(mut self, out: &mut dyn Write) -> Outcome {
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            self.is_watched = true;
            return self.talk(out);
        }
        let mut typed = String::new();
        for line in std::io::stdin().lock().lines() {
            typed.push_str(&line?);
            typed.push('\n');
            if !self.take(&mut typed, false, out)? {
                return Ok(());
            }
        }
        self.take(&mut typed, true, out).map(drop)
    }

    fn talk(&mut self, out: &mut dyn Write) -> Outcome {
        let mut words = names::dotted(self.state.layout().components());
        words.extend(COMMANDS.iter().filter_map(|(command, _)| command.split(' ').next()).map(str::to_owned));
        words.extend(
            statement::SQL
                .iter()
                .chain(&["from", "world", "where", "group by", "order by", "limit"])
                .map(|s| (*s).to_owned()),
        );
        let mut terminal = Terminal::new(words)?;
        writeln!(out, "the table is `world`; `.help` says what can be asked")?;
        loop {
            out.flush()?;
            let prompt =
                self.held.as_ref().map_or_else(|| "query> ".to_owned(), |held| format!("query@{}> ", held.frame));
            match terminal.line(&prompt)? {
                Line::Typed(mut typed) => match self.take(&mut typed, true, out) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(failure) if failure.code == 0 => return Err(failure),
                    Err(failure) => failure.print(),
                },
                Line::Cancelled => {}
                Line::End => return Ok(()),
            }
        }
    }

    /// Does what was typed, as far as it is whole; whether to go on.
    fn take(&mut self, typed: &mut String, is_end: bool, out: &mut dyn Write) -> Outcome<bool> {
        while let Some(statement) = statement::take(typed, is_end) {
            match statement {
                Statement::Command(name, words)
                    if words.is_empty() && matches!(name.as_str(), "quit" | "exit" | "q") =>
                {
                    return Ok(false);
                }
                Statement::Command(name, words) => self.command(&name, &words, out)?,
                Statement::Sql(sql) => self.ask(&sql, false, out)?,
                Statement::Condition(condition) => {
                    // one more than is shown, to know whether there are more
                    let sql =
                        statement::select(&self.columns, &condition, self.shown().map(|rows| rows.saturating_add(1)));
                    self.ask(&sql, true, out)?;
                }
            }
        }
        Ok(true)
    }

    /// How many rows are printed; `None`: all.
    fn shown(&self) -> Option<usize> {
        self.limit.or((self.format == Format::Table).then_some(ROWS_SHOWN))
    }

    /// Answers; `is_cut`: the question itself asks for one row more than is shown.
    fn ask(&self, sql: &str, is_cut: bool, out: &mut dyn Write) -> Outcome {
        let begun = Instant::now();
        let sql = self.state.quoted(sql);
        let (mut answer, frame) = match &self.held {
            Some(held) => (held.asked.ask(&sql)?, held.frame),
            None => {
                let (asked, frame) = self.state.pin()?;
                (asked.ask(&sql)?, frame)
            }
        };
        let took = begun.elapsed();
        let rows = answer.rows();
        if let Some(shown) = self.shown().filter(|shown| *shown < rows) {
            answer.truncate(shown);
        }
        put(&answer, self.format, out)?;
        if self.format == Format::Table && answer.rows() < rows {
            let shown = text::count(answer.rows() as u64);
            let of =
                if is_cut { "there are more".to_owned() } else { format!("there are {}", text::count(rows as u64)) };
            writeln!(out, "the first {shown} rows; {of}: `.limit N`, `.limit all`")?;
        }
        match self.is_watched {
            true => Ok(writeln!(out, "frame {}, {}", text::count(frame), text::time(took))?),
            false => Ok(()),
        }
    }

    fn command(&mut self, name: &str, words: &str, out: &mut dyn Write) -> Outcome {
        match (name, words) {
            ("help", "") => {
                let mut table = Table::pairs();
                COMMANDS.iter().for_each(|(command, what)| table.pair(command, what));
                Ok(write!(out, "{QUESTIONS}{table}")?)
            }
            ("columns", "") => {
                let schema = match &self.held {
                    Some(held) => held.asked.schema(),
                    None => self.state.pin()?.0.schema(),
                };
                let mut table = Table::new(&["column", "type", "unit", "about"]);
                for field in schema.fields() {
                    let told = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
                    let cells =
                        [field.name().clone(), field.data_type().to_string(), told("unit"), told("description")];
                    table.row(cells);
                }
                Ok(write!(out, "{table}")?)
            }
            ("hold", "") => {
                let (asked, frame) = self.state.pin()?;
                self.held = Some(Held { asked, frame });
                Ok(())
            }
            ("release", "") => {
                self.held = None;
                Ok(())
            }
            ("limit", "all") => {
                self.limit = Some(usize::MAX);
                Ok(())
            }
            ("limit", words) => {
                let count = crate::numbers::count::<usize>(words);
                self.limit =
                    Some(count.map_err(|why| Failure::usage(format!("`.limit` wants a number or `all`: {why}")))?);
                Ok(())
            }
            ("format", words) => {
                self.format = Format::from_str(words, true).map_err(|_| {
                    Failure::usage(format!("there is no format `{words}`; there are table, csv, ndjson and json"))
                })?;
                Ok(())
            }
            (name, _) => {
                let known: Vec<&str> = COMMANDS.iter().filter_map(|(command, _)| command.split(' ').next()).collect();
                match known.contains(&format!(".{name}").as_str()) {
                    true => Err(Failure::usage(format!("`.{name}` stands alone"))),
                    false => {
                        Err(Failure::usage(format!("there is no command `.{name}`; there are {}", known.join(", "))))
                    }
                }
            }
        }
    }
}

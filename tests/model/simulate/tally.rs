//! What a simulation passed, and what came of it: points, and pairs of troubles, as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How often a point was passed, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub times: u64,
    pub deaths: u64,
    pub crashes: u64,
    pub refusals: u64,
    pub recovered: u64,
}

impl Passed {
    fn troubles(&self) -> u64 {
        self.deaths + self.crashes + self.refusals
    }
}

/// What happened at all points; and of each two deaths, crashes or refusals that followed each other within a step.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub points: BTreeMap<&'static str, Passed>,
    pub pairs: BTreeMap<(&'static str, &'static str), u64>,
    pub switches: u64,
    /// Steps that were played, by name.
    pub steps: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        for (point, passed) in &other.points {
            let own = self.at(point);
            own.times += passed.times;
            own.deaths += passed.deaths;
            own.crashes += passed.crashes;
            own.refusals += passed.refusals;
            own.recovered += passed.recovered;
        }
        for (pair, times) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += times;
        }
        for (step, times) in &other.steps {
            *self.steps.entry(step).or_default() += times;
        }
        self.switches += other.switches;
    }

    pub fn at(&mut self, point: &'static str) -> &mut Passed {
        self.points.entry(point).or_default()
    }

    /// Points at which anything went wrong.
    fn troubled(&self) -> BTreeSet<&'static str> {
        let troubled = |(point, passed): (&&'static str, &Passed)| (passed.troubles() > 0).then_some(*point);
        self.points.iter().filter_map(troubled).collect()
    }

    /// The table of points, and one of pairs: a row's trouble came first.
    pub fn table(&self) -> String {
        let mut out = format!(
            "     {:<18}{:>12}{:>9}{:>9}{:>10}{:>11}\n",
            "point", "passed", "deaths", "crashes", "refusals", "recovered"
        );
        for (number, (point, passed)) in self.points.iter().enumerate() {
            let Passed { times, deaths, crashes, refusals, recovered } = passed;
            let line = format!("{point:<18}{times:>12}{deaths:>9}{crashes:>9}{refusals:>10}{recovered:>11}");
            let _ = writeln!(out, "{number:>3}  {line}");
        }
        let (troubled, times) = (self.troubled(), self.pairs.values().sum::<u64>());
        let steps: Vec<String> = self.steps.iter().map(|(step, times)| format!("{step} {times}")).collect();
        let _ = write!(
            out,
            "steps: {}\n{} changes of turn\n\
             pairs of troubles within one step, {} of {} pairs of points, {times} times; a digit d: 10^d times or more\n",
            steps.join(", "),
            self.switches,
            self.pairs.len(),
            troubled.len() * troubled.len(),
        );
        let numbers: Vec<(usize, &'static str)> = self.points.keys().copied().enumerate().collect();
        let columns: Vec<_> = numbers.iter().filter(|(_, point)| troubled.contains(point)).collect();
        for tens in [true, false] {
            let head = columns.iter().map(|(number, _)| if tens { number / 10 } else { number % 10 });
            let head: Vec<String> = head.map(|digit| digit.to_string()).collect();
            let _ = writeln!(out, "{:<23}{}", "", head.join(" "));
        }
        for (number, first) in &columns {
            let cell = |(_, second): &&(usize, &'static str)| match self.pairs.get(&(*first, *second)) {
                None => ".".to_owned(),
                Some(times) => times.ilog10().to_string(),
            };
            let cells: Vec<String> = columns.iter().map(cell).collect();
            let _ = writeln!(out, "{number:>3}  {first:<18}{}", cells.join(" "));
        }
        out
    }

    /// The same as members of a JSON object.
    pub fn json(&self) -> String {
        let points = self.points.iter().map(|(point, passed)| {
            let Passed { times, deaths, crashes, refusals, recovered } = passed;
            format!(
                "{{\"point\":{},\"passed\":{times},\"deaths\":{deaths},\"crashes\":{crashes},\
                 \"refusals\":{refusals},\"recovered\":{recovered}}}",
                quoted(point)
            )
        });
        let pairs = self.pairs.iter().map(|((first, second), times)| {
            format!("{{\"first\":{},\"second\":{},\"times\":{times}}}", quoted(first), quoted(second))
        });
        let steps = self.steps.iter().map(|(step, times)| format!("{}:{times}", quoted(step)));
        let list = |items: Vec<String>| items.join(",");
        format!(
            "\"points\":[{}],\"pairs\":[{}],\"steps\":{{{}}},\"turns_changed\":{}",
            list(points.collect()),
            list(pairs.collect()),
            list(steps.collect()),
            self.switches
        )
    }
}

/// A text as JSON has it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

//! What became of those who were killed, by who they were and where.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who died where.
pub type Place = (&'static str, &'static str);

/// What was wrong after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Something that was said to be there is not.
    Lost,
    /// Something is there that never was.
    Mixed,
    /// Something is left when all have gone.
    Residue,
    /// Nobody can go on.
    Stuck,
}

/// A run: who died, one after the other, and what was wrong in the end.
#[derive(Debug, Default)]
pub struct Deaths {
    pub places: Vec<Place>,
    pub wrong: Option<(Wrong, String)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    kills: u64,
    recovered: u64,
    lost: u64,
    mixed: u64,
    residue: u64,
}

#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Place, Row>,
    pairs: BTreeMap<(Place, Place), u64>,
    wrong: Vec<String>,
    /// Segments of dead mains that nobody removed.
    pub memory_left: usize,
    pub seconds: f64,
}

impl Table {
    pub fn add(&mut self, deaths: Deaths) {
        let Deaths { places, wrong } = deaths;
        for place in &places {
            let row = self.rows.entry(*place).or_default();
            row.kills += 1;
            match &wrong {
                None => row.recovered += 1,
                Some((Wrong::Lost, _)) => row.lost += 1,
                Some((Wrong::Mixed, _)) => row.mixed += 1,
                Some((Wrong::Residue, _)) => row.residue += 1,
                Some((Wrong::Stuck, _)) => {}
            }
        }
        for pair in places.windows(2) {
            *self.pairs.entry((pair[0], pair[1])).or_default() += 1;
        }
        if let Some((wrong, told)) = wrong {
            self.wrong.push(format!("{wrong:?} after {places:?}: {told}"));
        }
    }

    pub fn kills(&self) -> u64 {
        self.rows.values().map(|row| row.kills).sum()
    }

    pub fn is_well(&self) -> bool {
        self.wrong.is_empty() && self.memory_left == 0
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{:<14}{:<20}{:>7}{:>11}{:>7}{:>7}{:>9}\n",
            "who", "point", "kills", "recovered", "lost", "mixed", "residue"
        );
        let mut all = Row::default();
        for ((who, point), row) in &self.rows {
            let Row { kills, recovered, lost, mixed, residue } = *row;
            let _ = writeln!(out, "{who:<14}{point:<20}{kills:>7}{recovered:>11}{lost:>7}{mixed:>7}{residue:>9}");
            all.kills += kills;
            all.recovered += recovered;
            all.lost += lost;
            all.mixed += mixed;
            all.residue += residue;
        }
        let Row { kills, recovered, lost, mixed, residue } = all;
        let (name, places) = ("all", self.rows.len());
        let places = format!("{places} points");
        let _ = writeln!(out, "{name:<14}{places:<20}{kills:>7}{recovered:>11}{lost:>7}{mixed:>7}{residue:>9}");
        let (times, pairs) = (self.pairs.values().sum::<u64>(), self.pairs.len());
        let _ = writeln!(
            out,
            "{times} times one death followed another in a run, {pairs} pairs of points; memory of workers that nobody \
             removed: {}; {:.0} s",
            self.memory_left, self.seconds
        );
        for wrong in &self.wrong {
            let _ = writeln!(out, "{wrong}");
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> String {
        let row = |((who, point), row): (&Place, &Row)| {
            let Row { kills, recovered, lost, mixed, residue } = row;
            format!(
                "{{\"who\":{who:?},\"point\":{point:?},\"kills\":{kills},\"recovered\":{recovered},\"lost\":{lost},\
                 \"mixed\":{mixed},\"residue\":{residue}}}"
            )
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!(
            "{{\"kills\":{},\"pairs\":{},\"memory_left\":{},\"well\":{},\"points\":[{}]}}\n",
            self.kills(),
            self.pairs.len(),
            self.memory_left,
            self.is_well(),
            rows.join(",")
        )
    }
}

//! `top REGION`: a region as it lives: frames, rows, columns, readers, workers.
//!
//! On a terminal a picture that is drawn again and again; elsewhere it is drawn once, as text. It is a reader that holds
//! a generation only while it counts.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use hypostyle::regions::{LeaseInfo, RegionInfo, inspect};
use hypostyle::workers::{WorkerInfo, WorkerState};
use hypostyle::{Reader, RegionTarget, Snapshot, SnapshotError, Steering};
use ratatui::Frame;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline, Table};

use crate::cluster::{self, Cluster};
use crate::failure::{Failure, INTERRUPTED, Outcome};
use crate::fitted::{self, Column};
use crate::list::state;
use crate::open::open;
use crate::signals::Stop;
use crate::text;

/// Samples that the picture of frame times goes back.
const HISTORY: usize = 200;
/// Where there is no terminal.
const PLAIN: (u16, u16) = (120, 40);
/// Lines of a terminal from which on the picture of frame times has its full height.
const HEIGHT_FULL: u16 = 26;
/// The pace that `+` and `-` begin with where there is none, frames per second.
const PACE_FIRST: f64 = 60.0;
/// How often to look for keys.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// How long the picture may go on after the process was asked to end.
const GRACE: Duration = Duration::from_millis(500);

/// What to look at.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
    /// Seconds between two refreshes.
    #[arg(long, value_name = "S", value_parser = crate::numbers::seconds, default_value_t = 0.5)]
    interval: f64,
    /// Draw once, as text.
    #[arg(long)]
    once: bool,
}

/// A table in a line.
struct TableRow {
    components: String,
    rows: usize,
    capacity: usize,
    bytes: u64,
}

/// All that is drawn.
struct Picture {
    info: RegionInfo,
    generation: u64,
    frame: u64,
    time: f64,
    entities: u64,
    tables: Vec<TableRow>,
    /// Columns with their bytes, largest first.
    columns: Vec<(String, u64, u64)>,
    leases: Vec<LeaseInfo>,
    workers: Vec<WorkerInfo>,
    /// How the run is steered, if it is steerable.
    steered: Option<String>,
}

/// Frames as they went by.
struct Pace {
    last: Option<(u64, Instant)>,
    /// Nanoseconds per frame.
    history: VecDeque<u64>,
}

impl Pace {
    fn add(&mut self, frame: u64, now: Instant) {
        if let Some((before, then)) = self.last {
            if frame == before {
                return;
            }
            // a region that was taken over may have gone back
            if let Some(frames) = frame.checked_sub(before) {
                let ns = now.duration_since(then).as_nanos() / u128::from(frames.max(1));
                self.history.push_back(u64::try_from(ns).unwrap_or(u64::MAX));
            }
            while self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        self.last = Some((frame, now));
    }
}

/// What is looked at.
enum Looked {
    Region(RegionTarget, Reader),
    /// The ranks of one world, at one frame.
    Ranks(Cluster),
}

impl Looked {
    fn open(target: &RegionTarget) -> Outcome<Looked> {
        Ok(match cluster::is_one(target) {
            true => Looked::Ranks(Cluster::open(target)?),
            false => Looked::Region(target.clone(), open(target)?),
        })
    }

    /// Of ranks it is rank 0 that is steered, and the others with it.
    fn steering(&self) -> Outcome<Option<Steering>> {
        match self {
            Looked::Region(_, reader) => Ok(reader.steering()?),
            Looked::Ranks(cluster) => Ok(cluster.reader.ranks()[0].steering()?),
        }
    }

    fn picture(&mut self) -> Result<Picture, SnapshotError> {
        let own = std::process::id();
        match self {
            Looked::Region(target, reader) => {
                let info = hypostyle::regions::inspect(target);
                let leases = reader.leases()?.into_iter().filter(|lease| lease.pid != own).collect();
                let workers = if info.alive { reader.workers() } else { Vec::new() };
                let mut picture = Picture::of(info, leases, workers);
                picture.steered = reader.steering().ok().flatten().map(|steering| crate::steer::told(&steering));
                match reader.pin() {
                    Ok(snapshot) => picture.add(&snapshot),
                    Err(SnapshotError::NothingPublished) => {}
                    Err(error) => return Err(error),
                }
                Ok(picture.sorted())
            }
            Looked::Ranks(cluster) => {
                let parts = match cluster.reader.pin() {
                    Ok(parts) => parts,
                    Err(SnapshotError::NothingPublished) => Vec::new(),
                    Err(error) => return Err(error),
                };
                let mut leases = Vec::new();
                for rank in cluster.reader.ranks() {
                    leases.extend(rank.leases()?.into_iter().filter(|lease| lease.pid != own));
                }
                let regions = (0..cluster.regions.len()).map(|rank| inspect(&cluster.name.of_rank(rank)));
                let mut picture = Picture::of(sum(&cluster.name, regions), leases, Vec::new());
                let steering = cluster.reader.ranks()[0].steering().ok().flatten();
                picture.steered = steering.map(|steering| crate::steer::told(&steering));
                parts.iter().for_each(|part| picture.add(&part.snapshot()));
                Ok(picture.sorted())
            }
        }
    }
}

/// The regions of all ranks as one: alive while all are.
fn sum(name: &RegionTarget, regions: impl Iterator<Item = RegionInfo>) -> RegionInfo {
    let joined = |mut all: RegionInfo, next: RegionInfo| {
        all.alive &= next.alive;
        all.bytes_backed += next.bytes_backed;
        all.bytes_max = all.bytes_max.saturating_add(next.bytes_max);
        all.publish_skipped += next.publish_skipped;
        all.generation = all.generation.min(next.generation);
        all
    };
    let mut all = regions.reduce(joined).unwrap_or_else(|| inspect(name));
    all.name = name.to_string();
    all
}

impl Picture {
    fn of(info: RegionInfo, leases: Vec<LeaseInfo>, workers: Vec<WorkerInfo>) -> Picture {
        Picture {
            info,
            generation: 0,
            frame: 0,
            time: 0.0,
            entities: 0,
            tables: Vec::new(),
            columns: Vec::new(),
            leases,
            workers,
            steered: None,
        }
    }

    /// Adds a state, or a part of one.
    fn add(&mut self, snapshot: &Snapshot<'_>) {
        (self.generation, self.frame) = (snapshot.generation(), snapshot.frame());
        self.time = snapshot.time();
        self.entities += snapshot.entity_count();
        for table in snapshot.tables() {
            let memory = table.column_memory();
            let components = table.components().collect::<Vec<_>>().join(", ");
            let bytes: u64 = memory.iter().map(|column| column.bytes).sum();
            match self.tables.iter_mut().find(|row| row.components == components) {
                Some(row) => {
                    row.rows += table.rows();
                    row.capacity += table.capacity();
                    row.bytes += bytes;
                }
                None => {
                    let (rows, capacity) = (table.rows(), table.capacity());
                    self.tables.push(TableRow { components, rows, capacity, bytes });
                }
            }
            for column in memory {
                match self.columns.iter_mut().find(|(name, _, _)| *name == column.name) {
                    Some((_, bytes, used)) => (*bytes, *used) = (*bytes + column.bytes, *used + column.used),
                    None => self.columns.push((column.name, column.bytes, column.used)),
                }
            }
        }
    }

    fn sorted(mut self) -> Picture {
        self.tables.sort_by_key(|table| std::cmp::Reverse(table.rows));
        self.columns.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
        self
    }

    fn draw(&self, pace: &Pace, frame: &mut Frame<'_>) {
        let area = frame.area();
        let head = self.head(pace, usize::from(area.width.saturating_sub(2)));
        let spark = if area.height < HEIGHT_FULL { 4 } else { 6 };
        let rows = self.leases.len().max(self.workers.len()).clamp(1, 8) + 3;
        let [above, spark, middle, below] = Layout::vertical([
            Constraint::Length(head.len() as u16 + 2),
            Constraint::Length(spark),
            Constraint::Min(6),
            Constraint::Length(rows as u16),
        ])
        .areas(area);
        let lines = head.into_iter().map(Line::from).collect::<Vec<_>>();
        let steered = self.steered.as_ref().map_or_else(String::new, |told| format!(": {told}"));
        let title = format!(" {}{steered} ", self.info.name);
        frame.render_widget(Paragraph::new(lines).block(fitted::block(&title, above.width)), above);
        draw_pace(pace, frame, spark);
        let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
        let [left, right] = Layout::horizontal(halves).areas(middle);
        frame.render_widget(self.tables(left), left);
        frame.render_widget(self.columns(right), right);
        let [left, right] = Layout::horizontal(halves).areas(below);
        frame.render_widget(self.readers(left), left);
        frame.render_widget(self.worker_table(right), right);
    }

    fn head(&self, pace: &Pace, cells: usize) -> Vec<String> {
        let info = &self.info;
        let writer = if info.alive { format!(", process {}", info.writer_pid) } else { String::new() };
        let recent = pace.history.back().filter(|_| info.alive).map_or_else(
            || "-".to_owned(),
            |ns| format!("{} ({} a second)", text::nanoseconds(*ns as f64), text::number((1e9 / *ns as f64).round())),
        );
        let groups = [
            vec![format!("{}{writer}", state(info)), format!("generation {}", text::count(self.generation))],
            vec![
                format!("frame {}", text::count(self.frame)),
                format!("time {}", text::number(self.time)),
                format!("{recent} per frame"),
                format!("{} publications skipped", text::count(info.publish_skipped)),
            ],
            vec![
                format!("{} entities in {} tables", text::count(self.entities), self.tables.len()),
                format!("{} of at most {}", text::bytes(info.bytes_backed), text::bytes(info.bytes_max)),
            ],
        ];
        fitted::facts(&groups, cells)
    }

    fn tables(&self, area: Rect) -> Table<'static> {
        let tables = || self.tables.iter();
        let columns = vec![
            Column::number("rows", 0, tables().map(|table| text::count(table.rows as u64))),
            Column::number("room", 3, tables().map(|table| text::count(table.capacity as u64))),
            Column::number("memory", 2, tables().map(|table| text::bytes(table.bytes))),
            Column::text("components", 1, tables().map(|table| table.components.clone())),
        ];
        fitted::table(columns, " tables ", area)
    }

    fn columns(&self, area: Rect) -> Table<'static> {
        let columns = || self.columns.iter();
        let share = |bytes: u64, used: u64| if bytes == 0 { 0.0 } else { used as f64 / bytes as f64 };
        let columns = vec![
            Column::text("column", 0, columns().map(|(name, _, _)| name.clone())),
            Column::number("memory", 1, columns().map(|(_, bytes, _)| text::bytes(*bytes))),
            Column::number("in use", 2, columns().map(|(_, bytes, used)| text::percent(share(*bytes, *used)))),
        ];
        fitted::table(columns, " columns ", area)
    }

    fn readers(&self, area: Rect) -> Table<'static> {
        let leases = || self.leases.iter();
        let holds = |lease: &LeaseInfo| match lease.generation {
            None => "nothing".to_owned(),
            Some(held) => format!("generation {held}, {} behind", self.generation.saturating_sub(held)),
        };
        let columns = vec![
            Column::number("process", 0, leases().map(|lease| lease.pid.to_string())),
            Column::text("holds", 1, leases().map(holds)),
            Column::text("", 2, leases().map(|lease| if lease.alive { String::new() } else { "gone".to_owned() })),
        ];
        fitted::table(columns, &format!(" {} other readers ", self.leases.len()), area)
    }

    fn worker_table(&self, area: Rect) -> Table<'static> {
        let workers = || self.workers.iter();
        let what = |worker: &WorkerInfo| match (worker.state, worker.pid) {
            (WorkerState::Thread, _) => "thread".to_owned(),
            (WorkerState::Process, Some(pid)) => format!("process {pid}"),
            (WorkerState::Process, None) => "process".to_owned(),
            (WorkerState::GivenUp, _) => "given up".to_owned(),
            (_, _) => "being replaced".to_owned(),
        };
        let columns = vec![
            Column::text("worker", 0, workers().map(what)),
            Column::number("jobs", 1, workers().map(|worker| text::count(worker.jobs))),
            Column::number("deaths", 2, workers().map(|worker| text::count(worker.deaths))),
        ];
        fitted::table(columns, &format!(" {} workers ", self.workers.len()), area)
    }
}

fn draw_pace(pace: &Pace, frame: &mut Frame<'_>, area: Rect) {
    // the newest at the right, as many as fit
    let width = usize::from(area.width.saturating_sub(2));
    let shown: Vec<u64> = pace.history.iter().copied().skip(pace.history.len().saturating_sub(width)).collect();
    let (least, most) = (shown.iter().min(), shown.iter().max());
    let title = match least.zip(most) {
        None => " time per frame: none yet ".to_owned(),
        Some((least, most)) => {
            let (least, most) = (text::nanoseconds(*least as f64), text::nanoseconds(*most as f64));
            format!(" time per frame, as seen: {least} to {most} ")
        }
    };
    frame.render_widget(Sparkline::default().block(fitted::block(&title, area.width)).data(shown), area);
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        return Err(Failure::usage("`top` is for people; for JSON use `inspect` or `watch`"));
    }
    let mut looked = Looked::open(&args.region)?;
    if args.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return plain(args, &mut looked, out);
    }
    let stop = Stop::catch()?;
    let mut terminal = ratatui::try_init()?;
    // a terminal that is gone may block a process that reads from it
    let done = stop.over(GRACE, || drop(ratatui::try_restore()), || live(args, &mut looked, &stop, &mut terminal));
    // whatever happened, the terminal is as it was; one that is gone cannot be, and must not be told so: who prints to it
    // panics
    if ratatui::try_restore().and_then(|()| terminal.show_cursor()).is_err() {
        std::mem::forget(terminal);
    }
    done
}

fn live(args: &Args, looked: &mut Looked, stop: &Stop, terminal: &mut ratatui::DefaultTerminal) -> Outcome {
    let interval = Duration::from_secs_f64(args.interval);
    let mut pace = Pace { last: None, history: VecDeque::new() };
    loop {
        let begun = Instant::now();
        let picture = looked.picture()?;
        pace.add(picture.frame, begun);
        terminal.draw(|frame| picture.draw(&pace, frame))?;
        while begun.elapsed() < interval.max(KEYS_EVERY) {
            if stop.is_asked() {
                return Ok(());
            }
            if !is_key_waiting()? && !event::poll(Duration::ZERO)? {
                continue;
            }
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                    if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                        return Ok(());
                    }
                    if let Some(steering) = looked.steering()? {
                        steer(&steering, key.code);
                        break;
                    }
                }
                Event::Resize(_, _) => {
                    terminal.draw(|frame| picture.draw(&pace, frame))?;
                }
                _ => {}
            }
        }
    }
}

/// What a key says to the run.
fn steer(steering: &Steering, key: KeyCode) {
    let pace = steering.pace().unwrap_or(PACE_FIRST);
    match key {
        KeyCode::Char(' ') if steering.is_paused() => steering.resume(),
        KeyCode::Char(' ') => steering.pause(),
        KeyCode::Char('s') => steering.step(1),
        KeyCode::Char('+') => steering.set_pace(Some(pace * 2.0)),
        KeyCode::Char('-') => steering.set_pace(Some(pace / 2.0)),
        KeyCode::Char('m') => steering.set_pace(None),
        _ => {}
    }
}

/// Waits a little for a key.
///
/// # Errors
/// The terminal is gone: a read from it could wait for ever.
fn is_key_waiting() -> Outcome<bool> {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdin = std::io::stdin();
        let mut terminals = [PollFd::new(&stdin, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(KEYS_EVERY.subsec_nanos()) };
        match poll(&mut terminals, Some(&time)) {
            Err(rustix::io::Errno::INTR) => return Ok(false),
            waited => waited.map_err(std::io::Error::from)?,
        };
        if terminals[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(Failure::told(INTERRUPTED));
        }
        Ok(terminals[0].revents().contains(PollFlags::IN))
    }
    #[cfg(not(unix))]
    Ok(event::poll(KEYS_EVERY)?)
}

/// Draws once, without a terminal: over two looks, so that there is a pace.
fn plain(args: &Args, looked: &mut Looked, out: &mut dyn Write) -> Outcome {
    let mut pace = Pace { last: None, history: VecDeque::new() };
    pace.add(looked.picture()?.frame, Instant::now());
    std::thread::sleep(Duration::from_secs_f64(args.interval.min(10.0)));
    let picture = looked.picture()?;
    pace.add(picture.frame, Instant::now());
    Ok(write!(out, "{}", drawn(&picture, &pace)?)?)
}

fn drawn(picture: &Picture, pace: &Pace) -> Outcome<String> {
    drawn_in(picture, pace, PLAIN)
}

/// The picture as text of so many characters and lines.
fn drawn_in(picture: &Picture, pace: &Pace, (width, height): (u16, u16)) -> Outcome<String> {
    let Ok(mut terminal) = ratatui::Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| picture.draw(pace, frame));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let line: String = (0..width).filter_map(|x| buffer.cell((x, y)).map(|cell| cell.symbol())).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_time_by_frames() {
        let begun = Instant::now();
        let mut pace = Pace { last: None, history: VecDeque::new() };
        for (frame, ms) in [(10, 0), (10, 5), (20, 20), (22, 30), (4, 31), (5, 33)] {
            pace.add(frame, begun + Duration::from_millis(ms));
        }
        // a look without a new frame counts for the next; going back counts for nothing
        assert_eq!(pace.history, [2_000_000, 5_000_000, 2_000_000]);
        for frame in 0..1000 {
            pace.add(100 + frame, begun + Duration::from_millis(40 + frame));
        }
        assert_eq!(pace.history.len(), HISTORY);
    }

    /// Numbers of a text, with what belongs to them; a `…` behind one says that it is cut.
    fn numbers(text: &str) -> Vec<&str> {
        text.split(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | ',' | '…')))
            .map(|word| word.trim_matches([',', '.']))
            .filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))
            .collect()
    }

    #[test]
    fn no_number_loses_a_digit_at_any_width() {
        let mut info = hypostyle::regions::inspect(&RegionTarget::Directory("/no/such/region".into()));
        (info.alive, info.error, info.writer_pid, info.publish_skipped) = (true, None, 1_234_567, 98_765_432);
        (info.bytes_backed, info.bytes_max) = (205_824 << 10, 1023 << 30);
        let table = |rows: usize, components: &str| TableRow {
            components: components.to_owned(),
            rows,
            capacity: rows * 2,
            bytes: rows as u64 * 201 + 7,
        };
        let picture = Picture {
            info,
            generation: 123_456_789,
            frame: 987_654_321,
            time: 12_345.678,
            entities: 23_456_789,
            tables: vec![table(23_456_700, "position, velocity, frozen"), table(89, "emitter")],
            columns: vec![("position.x".to_owned(), 205_824, 203_700), ("velocity.v".to_owned(), 201 << 20, 201 << 19)],
            leases: Vec::new(),
            workers: Vec::new(),
            steered: None,
        };
        let mut pace = Pace { last: None, history: VecDeque::new() };
        pace.history.extend([12_345_678, 23_456_789]);
        let whole = drawn_in(&picture, &pace, (400, 60)).expect("it is drawn");
        let known = numbers(&whole);
        for number in ["201.0", "23,456,700", "46,913,400", "123,456,789", "987,654,321", "99"] {
            assert!(known.contains(&number), "no {number} in\n{whole}");
        }
        for width in 0..=200 {
            for height in [10, 24, 40] {
                let text = drawn_in(&picture, &pace, (width, height)).expect("it is drawn");
                for number in numbers(&text) {
                    assert!(number.ends_with('…') || known.contains(&number), "{number} at {width}:\n{text}");
                }
            }
        }
        let text = drawn_in(&picture, &pace, (80, 24)).expect("it is drawn");
        for number in ["201.0 KiB", "201.0 MiB", "23,456,700", "987,654,321", "98,765,432", "1023.0 GiB"] {
            assert!(text.contains(number), "no {number} at 80 x 24:\n{text}");
        }
    }
}

#![forbid(unsafe_code)]
//! `top REGION`: a region as it lives: frames, rows, columns, readers, workers.
//!
//! On a terminal a picture that is drawn again and again; elsewhere it is drawn once, as text. It is a reader that holds
//! a generation only while it counts.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use hypostyle::{LeaseInfo, Reader, RegionInfo, RegionTarget, SnapshotError, WorkerInfo, WorkerState};
use ratatui::Frame;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use crate::failure::{Failure, INTERRUPTED, Outcome};
use crate::list::state;
use crate::open::open;
use crate::signals::Stop;
use crate::text;

/// Samples that the picture of frame times goes back.
const HISTORY: usize = 200;
/// Where there is no terminal.
const PLAIN: (u16, u16) = (120, 40);
/// How often to look for keys.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// How long the picture may go on after the process was asked to end.
const GRACE: Duration = Duration::from_millis(500);

/// What to look at.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
    /// Seconds between two pictures.
    #[arg(long, value_name = "S", value_parser = crate::run::parse_seconds, default_value_t = 0.5)]
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

impl Picture {
    fn take(target: &RegionTarget, reader: &mut Reader) -> Result<Picture, SnapshotError> {
        let own = std::process::id();
        let info = hypostyle::inspect(target);
        let leases = reader.leases()?.into_iter().filter(|lease| lease.pid != own).collect();
        let workers = if info.alive { reader.workers() } else { Vec::new() };
        let mut picture = Picture {
            info,
            generation: 0,
            frame: 0,
            time: 0.0,
            entities: 0,
            tables: Vec::new(),
            columns: Vec::new(),
            leases,
            workers,
        };
        let snapshot = match reader.pin() {
            Ok(snapshot) => snapshot,
            Err(SnapshotError::NothingPublished) => return Ok(picture),
            Err(error) => return Err(error),
        };
        (picture.generation, picture.frame) = (snapshot.generation(), snapshot.frame());
        (picture.time, picture.entities) = (snapshot.time(), snapshot.entity_count());
        for table in snapshot.tables() {
            let memory = table.column_memory();
            picture.tables.push(TableRow {
                components: table.components().collect::<Vec<_>>().join(", "),
                rows: table.rows(),
                capacity: table.capacity(),
                bytes: memory.iter().map(|column| column.bytes).sum(),
            });
            for column in memory {
                match picture.columns.iter_mut().find(|(name, _, _)| *name == column.name) {
                    Some((_, bytes, used)) => (*bytes, *used) = (*bytes + column.bytes, *used + column.used),
                    None => picture.columns.push((column.name, column.bytes, column.used)),
                }
            }
        }
        picture.tables.sort_by_key(|table| std::cmp::Reverse(table.rows));
        picture.columns.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
        Ok(picture)
    }

    fn draw(&self, pace: &Pace, frame: &mut Frame<'_>) {
        let [head, spark, middle, bottom] = Layout::vertical([
            Constraint::Length(5),
            Constraint::Length(6),
            Constraint::Min(6),
            Constraint::Length((self.leases.len().max(self.workers.len()).clamp(1, 8) + 3) as u16),
        ])
        .areas(frame.area());
        self.draw_head(pace, frame, head);
        draw_pace(pace, frame, spark);
        let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
        let [left, right] = Layout::horizontal(halves).areas(middle);
        self.draw_tables(frame, left);
        self.draw_columns(frame, right);
        let [left, right] = Layout::horizontal(halves).areas(bottom);
        self.draw_leases(frame, left);
        self.draw_workers(frame, right);
    }

    fn draw_head(&self, pace: &Pace, frame: &mut Frame<'_>, area: Rect) {
        let info = &self.info;
        let writer = if info.alive { format!(", process {}", info.writer_pid) } else { String::new() };
        let recent = pace.history.back().filter(|_| info.alive).map_or_else(
            || "-".to_owned(),
            |ns| format!("{} ({} a second)", text::nanoseconds(*ns as f64), text::number((1e9 / *ns as f64).round())),
        );
        let lines = vec![
            Line::from(format!("{}{writer}   generation {}", state(info), text::count(self.generation))),
            Line::from(format!(
                "frame {}   time {}   {recent} per frame   {} publications skipped",
                text::count(self.frame),
                text::number(self.time),
                text::count(info.publish_skipped)
            )),
            Line::from(format!(
                "{} entities in {} tables   {} of at most {}",
                text::count(self.entities),
                self.tables.len(),
                text::bytes(info.bytes_backed),
                text::bytes(info.bytes_max)
            )),
        ];
        let title = format!(" {} ", info.name);
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
    }

    fn draw_tables(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.tables.iter().map(|table| {
            let (rows, capacity) = (text::count(table.rows as u64), text::count(table.capacity as u64));
            [right(rows), right(capacity), right(text::bytes(table.bytes)), Line::from(table.components.clone())]
        });
        let widths = [Constraint::Length(12), Constraint::Length(12), Constraint::Length(11), Constraint::Min(10)];
        let heads = [right("rows"), right("room"), right("memory"), Line::from("components")];
        frame.render_widget(table(heads, rows, &widths, " tables "), area);
    }

    fn draw_columns(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.columns.iter().map(|(name, bytes, used)| {
            let share = if *bytes == 0 { 0.0 } else { *used as f64 / *bytes as f64 };
            [Line::from(name.clone()), right(text::bytes(*bytes)), right(text::percent(share))]
        });
        let widths = [Constraint::Min(16), Constraint::Length(11), Constraint::Length(7)];
        let heads = [Line::from("column"), right("memory"), right("in use")];
        frame.render_widget(table(heads, rows, &widths, " columns "), area);
    }

    fn draw_leases(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.leases.iter().map(|lease| {
            let holds = lease.generation.map_or_else(
                || "nothing".to_owned(),
                |held| format!("generation {held}, {} behind", self.generation.saturating_sub(held)),
            );
            let alive = if lease.alive { "" } else { "gone" };
            [right(lease.pid.to_string()), Line::from(holds), Line::from(alive)]
        });
        let widths = [Constraint::Length(8), Constraint::Min(20), Constraint::Length(5)];
        let title = format!(" {} other readers ", self.leases.len());
        frame
            .render_widget(table([right("process"), Line::from("holds"), Line::from("")], rows, &widths, &title), area);
    }

    fn draw_workers(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.workers.iter().map(|worker| {
            let what = match (worker.state, worker.pid) {
                (WorkerState::Thread, _) => "thread".to_owned(),
                (WorkerState::Process, Some(pid)) => format!("process {pid}"),
                (WorkerState::Process, None) => "process".to_owned(),
                (_, _) => "being replaced".to_owned(),
            };
            [Line::from(what), right(text::count(worker.jobs)), right(text::count(worker.deaths))]
        });
        let widths = [Constraint::Min(16), Constraint::Length(14), Constraint::Length(7)];
        let title = format!(" {} workers ", self.workers.len());
        frame.render_widget(table([Line::from("worker"), right("jobs"), right("deaths")], rows, &widths, &title), area);
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
    frame.render_widget(Sparkline::default().block(Block::bordered().title(title)).data(shown), area);
}

fn right<'l>(text: impl Into<std::borrow::Cow<'l, str>>) -> Line<'l> {
    Line::from(text.into()).right_aligned()
}

fn table<'t, const N: usize>(
    heads: [Line<'t>; N],
    rows: impl Iterator<Item = [Line<'t>; N]>,
    widths: &[Constraint; N],
    title: &str,
) -> Table<'t> {
    let heads = Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD));
    Table::new(rows.map(Row::new), widths).header(heads).block(Block::bordered().title(title.to_owned()))
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        return Err(Failure::usage("`top` is for people; for JSON use `inspect` or `watch`"));
    }
    let mut reader = open(&args.region)?;
    if args.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return plain(args, &mut reader, out);
    }
    let stop = Stop::catch()?;
    let mut terminal = ratatui::try_init()?;
    // a terminal that is gone may hold whoever reads from it
    let done = stop.over(GRACE, ratatui::restore, || live(args, &mut reader, &stop, &mut terminal));
    // whatever happened, the terminal is as it was
    ratatui::restore();
    done
}

fn live(args: &Args, reader: &mut Reader, stop: &Stop, terminal: &mut ratatui::DefaultTerminal) -> Outcome {
    let interval = Duration::from_secs_f64(args.interval);
    let mut pace = Pace { last: None, history: VecDeque::new() };
    loop {
        let begun = Instant::now();
        let picture = Picture::take(&args.region, reader)?;
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
                }
                Event::Resize(_, _) => {
                    terminal.draw(|frame| picture.draw(&pace, frame))?;
                }
                _ => {}
            }
        }
    }
}

/// Waits a little for a key.
///
/// # Errors
/// The terminal is gone: who would read from it then could do so for ever.
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
fn plain(args: &Args, reader: &mut Reader, out: &mut dyn Write) -> Outcome {
    let mut pace = Pace { last: None, history: VecDeque::new() };
    pace.add(Picture::take(&args.region, reader)?.frame, Instant::now());
    std::thread::sleep(Duration::from_secs_f64(args.interval.min(10.0)));
    let picture = Picture::take(&args.region, reader)?;
    pace.add(picture.frame, Instant::now());
    Ok(write!(out, "{}", drawn(&picture, &pace)?)?)
}

fn drawn(picture: &Picture, pace: &Pace) -> Outcome<String> {
    let (width, height) = PLAIN;
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
}

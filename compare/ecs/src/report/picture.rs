//! Pictures: time over the number of entities, log-log, a line per engine. A peer's line is its fastest variant at each
//! size; each of our variants has a line of its own, as they do not give the same.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;

use plotters::prelude::*;

use crate::row::{Row, tables};

const SIZE: (u32, u32) = (900, 480);
const COLOURS: [RGBColor; 6] = [
    RGBColor(214, 96, 38),
    RGBColor(46, 125, 50),
    RGBColor(106, 76, 156),
    RGBColor(0, 131, 143),
    RGBColor(158, 110, 0),
    RGBColor(173, 20, 87),
];
const OURS: [RGBColor; 4] =
    [RGBColor(13, 71, 161), RGBColor(30, 136, 229), RGBColor(100, 181, 246), RGBColor(26, 35, 126)];

/// (group, case) of what has at least two sizes.
pub fn worth_drawing(rows: &[Row]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String, Vec<u64>)> = Vec::new();
    for table in tables(rows) {
        let row = table.rows[0];
        match found.iter_mut().find(|(group, case, _)| *group == row.group && *case == row.case) {
            Some((.., sizes)) => sizes.push(row.entities),
            None => found.push((row.group.clone(), row.case.clone(), vec![row.entities])),
        }
    }
    found.into_iter().filter(|(.., sizes)| sizes.len() > 1).map(|(group, case, _)| (group, case)).collect()
}

struct Line {
    name: String,
    ours: bool,
    limit: bool,
    points: BTreeMap<u64, f64>,
}

fn lines(rows: &[Row], group: &str, case: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows.iter().filter(|row| row.group == group && row.case == case) {
        let name = if row.is_ours() { format!("{}, {}", row.engine, row.variant) } else { row.engine.clone() };
        let line = match lines.iter().position(|line| line.name == name) {
            Some(place) => &mut lines[place],
            None => {
                lines.push(Line { name, ours: row.is_ours(), limit: row.is_limit(), points: BTreeMap::new() });
                lines.last_mut().expect("one was pushed")
            }
        };
        let point = line.points.entry(row.entities).or_insert(row.median);
        *point = point.min(row.median);
    }
    lines
}

/// Draws one.
///
/// # Errors
/// What the plotter refuses.
pub fn draw(path: &Path, rows: &[Row], group: &str, case: &str) -> Result<(), Box<dyn std::error::Error>> {
    let lines = lines(rows, group, case);
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (x_min, x_max) = range(&mut points().map(|(entities, _)| *entities as f64));
    let (y_min, y_max) = range(&mut points().map(|(_, time)| time.max(1e-3)));
    let unit = rows.iter().find(|row| row.group == group && row.case == case).map_or("", |row| &row.unit);

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(580);
    let mut chart = ChartBuilder::on(&left)
        .margin(12)
        .caption(format!("{group}: {case}"), ("sans-serif", 15))
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((x_min * 0.8..x_max * 1.25).log_scale(), (y_min * 0.8..y_max * 1.25).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("entities")
        .y_desc(unit)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| super::number(*y))
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    let (mut ours, mut peers) = (OURS.iter().cycle(), COLOURS.iter().cycle());
    for (place, line) in lines.iter().enumerate() {
        let colour = match (line.ours, line.limit) {
            (true, _) => *ours.next().unwrap_or(&BLUE),
            (_, true) => RGBColor(120, 120, 120),
            _ => *peers.next().unwrap_or(&RED),
        };
        let style = colour.stroke_width(if line.ours { 3 } else { 2 });
        let points: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (*x as f64, y.max(1e-3))).collect();
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        let y = 40 + 24 * place as i32;
        right.draw(&PathElement::new(vec![(0, y), (24, y)], style))?;
        let text = ("sans-serif", 13).into_font().color(&BLACK);
        right.draw(&Text::new(line.name.clone(), (32, y - 6), text))?;
    }
    area.present()?;
    Ok(())
}

/// 1k, 10M.
fn short(value: f64) -> String {
    match value {
        x if x >= 1e6 => format!("{}M", (x / 1e5).round() / 10.0),
        x if x >= 1e3 => format!("{}k", (x / 1e2).round() / 10.0),
        x => format!("{x:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn counts_are_short() {
        assert_eq!([short(500.0), short(1000.0), short(1_500_000.0)], ["500", "1k", "1.5M"]);
    }
}

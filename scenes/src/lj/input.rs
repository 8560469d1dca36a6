//! Atoms from a CSV file: `id,x,y,z,vx,vy,vz`, unwrapped positions.
#![forbid(unsafe_code)]

use super::{SceneError, SceneOptions, Start};

const COLUMNS: [&str; 7] = ["id", "x", "y", "z", "vx", "vy", "vz"];
/// Places beyond this have too few digits left for what is between atoms.
const FARTHEST: f64 = 1e6;
const FASTEST: f64 = 1e4;

/// The sides of the box, as the options have them: one number or three.
pub(super) fn sides(options: &SceneOptions) -> Result<[f64; 3], SceneError> {
    let text = options.text("box").unwrap_or_default();
    let sides: Result<Vec<f64>, _> = text.split(',').map(|side| side.trim().parse::<f64>()).collect();
    let sides = match sides.as_deref() {
        Ok([side]) => Some([*side; 3]),
        Ok([x, y, z]) => Some([*x, *y, *z]),
        _ => None,
    };
    sides.filter(|sides| sides.iter().all(|side| *side > 0.0 && *side <= FARTHEST)).ok_or_else(|| SceneError::Option {
        name: "box".to_owned(),
        value: text.to_owned(),
        want: format!("with --input one side or three, SIDE or X,Y,Z, each above 0 and up to {FARTHEST} sigma"),
    })
}

/// The atoms of a file, by id.
pub(super) fn atoms(path: &str) -> Result<Vec<Start>, SceneError> {
    let text = std::fs::read_to_string(path).map_err(|error| SceneError::File { path: path.to_owned(), error })?;
    parse(path, &text)
}

fn parse(path: &str, text: &str) -> Result<Vec<Start>, SceneError> {
    let fault = |line: usize, column: Option<usize>, what: String| SceneError::Input {
        path: path.to_owned(),
        line,
        column: column.map(|index| (index + 1, COLUMNS[index])),
        what,
    };
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let head = lines.next().map_or("", |(_, line)| line);
    if !head.split(',').map(str::trim).eq(COLUMNS) {
        let what = format!("the first line is `{}`; it must be `{}`", cut(head), COLUMNS.join(","));
        return Err(fault(1, None, what));
    }
    let mut atoms: Vec<(usize, Start)> = Vec::new();
    for (line, text) in lines.filter(|(_, line)| !line.is_empty()) {
        let values: Vec<&str> = text.split(',').map(str::trim).collect();
        if values.len() != COLUMNS.len() {
            let what = format!("{} values; there must be {}: {}", values.len(), COLUMNS.len(), COLUMNS.join(","));
            return Err(fault(line, None, what));
        }
        let id = values[0].parse::<u32>().ok().filter(|id| *id > 0).ok_or_else(|| {
            fault(line, Some(0), format!("`{}` is no id: write a whole number from 1 to {}", cut(values[0]), u32::MAX))
        })?;
        let mut numbers = [0.0; 6];
        for (index, number) in numbers.iter_mut().enumerate() {
            let most = if index < 3 { FARTHEST } else { FASTEST };
            let value = values[index + 1];
            *number = value.parse::<f64>().ok().filter(|number| number.abs() <= most).ok_or_else(|| {
                fault(line, Some(index + 1), format!("`{}`: write a number from -{most} to {most}", cut(value)))
            })?;
        }
        let [x, y, z, vx, vy, vz] = numbers;
        atoms.push((line, Start { id, at: [x, y, z], velocity: [vx, vy, vz] }));
    }
    if atoms.len() < 2 {
        return Err(fault(1, None, format!("{} atoms; there must be 2 at least", atoms.len())));
    }
    atoms.sort_by_key(|(_, atom)| atom.id);
    if let Some([(line, _), (other, atom)]) = atoms.array_windows().find(|[a, b]| a.1.id == b.1.id) {
        return Err(fault(*other, Some(0), format!("id {} stands in line {line}, too; write each id once", atom.id)));
    }
    Ok(atoms.into_iter().map(|(_, atom)| atom).collect())
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "targets without a test harness have no tests")]
    use super::*;

    #[test]
    fn faults_name_their_line_and_column() {
        let head = "id,x,y,z,vx,vy,vz\n";
        let good = "1,0,0,0,0,0,0\n2,1,1,1,0,0,0\n";
        assert_eq!(parse("a.csv", &format!("{head}{good}")).map(|atoms| atoms.len()).ok(), Some(2));
        for (text, want) in [
            ("id,x\n".to_owned(), "a.csv, line 1: the first line is `id,x`; it must be `id,x,y,z,vx,vy,vz`"),
            (format!("{head}{good}3,0,0,nan,0,0,0\n"), "a.csv, line 4, column 4 (z): `nan`: write a number from"),
            (format!("{head}{good}3,0,0,0,0,0,1e9\n"), "a.csv, line 4, column 7 (vz): `1e9`: write a number from"),
            (format!("{head}{good}x,0,0,0,0,0,0\n"), "a.csv, line 4, column 1 (id): `x` is no id"),
            (format!("{head}{good}3,0,0,0\n"), "a.csv, line 4: 4 values; there must be 7"),
            (format!("{head}{good}\n1,0,0,0,0,0,0\n"), "a.csv, line 5, column 1 (id): id 1 stands in line 2, too"),
            (head.to_owned(), "a.csv, line 1: 0 atoms; there must be 2 at least"),
        ] {
            let message = parse("a.csv", &text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.starts_with(want), "{message}");
        }
    }
}

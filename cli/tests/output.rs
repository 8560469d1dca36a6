//! How data and errors are printed: formats, patterns, logs of runs, files of options, wrong command lines.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod commands;

use commands::{code, failure, output, place, stdout};
use serde_json::Value;

#[test]
fn columns_are_named_by_component_and_pattern_and_printed_for_programs() {
    let (_directory, _, region) = place();
    stdout(&["run", "particles", "--entities", "200", "--frames", "3", "--region", &region, "--keep"]);
    let csv = stdout(&["stats", &region, "position", "*.rate", "position.?", "--format", "csv"]);
    let names: Vec<&str> = csv.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names, ["column", "position.x", "position.y", "position.z", "emitter.rate"]);
    let json = stdout(&["stats", &region, "position", "--format", "json"]);
    assert_eq!(json, stdout(&["stats", &region, "position", "--json"]));
    let columns: Value = serde_json::from_str(&json).unwrap();
    let lines = stdout(&["stats", &region, "position", "--format", "ndjson"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::Array(lines), columns["columns"]);
    // the very digits
    let max: f64 = csv.lines().nth(2).unwrap().split(',').nth(6).unwrap().parse().unwrap();
    assert_eq!(Some(max), columns["columns"][1]["max"].as_f64());
    let (status, message) = failure(&["stats", &region, "positon"]);
    assert!(status == 2 && message.contains("did you mean `position`"), "{message}");
    assert_eq!(failure(&["stats", &region, "*.nothing"]).0, 2);
}

/// The first cell of a line of CSV; one with a comma stands in quotes.
fn first_cell(line: &str) -> &str {
    match line.strip_prefix('"') {
        Some(rest) => rest.split("\",").next().unwrap(),
        None => line.split(',').next().unwrap(),
    }
}

#[test]
fn tables_are_rows_for_programs() {
    let (directory, _, region) = place();
    let trace = directory.path().join("trace.json");
    let trace = trace.to_str().unwrap();
    let run =
        ["run", "particles", "--entities", "200", "--frames", "3", "--region", &region, "--keep", "--trace", trace];
    stdout(&run);
    let folder = directory.path().to_str().unwrap();
    for (args, list, first) in [
        (&["list", folder][..], "regions", "name"),
        (&["scenes"], "scenes", "name"),
        (&["trace", trace], "systems", "system"),
        (&["bench", "--only", "empty frame", "--entities", "1000", "--rounds", "1"], "figures", "group"),
    ] {
        let with = |format: &str| stdout(&[args, &["--format", format]].concat());
        let whole: Value = serde_json::from_str(&with("json")).unwrap();
        let objects = whole[list].as_array().unwrap();
        let lines: Vec<Value> = with("ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let csv = with("csv");
        let mut csv = csv.lines();
        assert!(!objects.is_empty() && csv.next().unwrap().starts_with(first), "{args:?}: {whole}");
        // what is measured anew is other numbers of the same cases
        let names = |rows: &[Value]| rows.iter().map(|row| row[first].to_string()).collect::<Vec<_>>();
        assert_eq!(names(&lines), names(objects), "{args:?}");
        let cells: Vec<&str> = csv.map(first_cell).collect();
        assert_eq!(cells.len(), objects.len(), "{args:?}");
        assert!(objects.iter().zip(&cells).all(|(row, cell)| row[first].as_str() == Some(cell)), "{args:?}: {cells:?}");
    }
}

#[test]
fn what_is_found_is_rows_for_programs() {
    let (directory, _, region) = place();
    let run = |entities| {
        let checkpoint = directory.path().join(format!("{entities}.checkpoint")).to_str().unwrap().to_owned();
        stdout(&["run", "particles", "--entities", entities, "--frames", "3", "--region", &region, "--keep"]);
        stdout(&["checkpoint", &region, "-o", &checkpoint]);
        stdout(&["clean", &region]);
        checkpoint
    };
    let (a, b) = (run("200"), run("201"));
    let lines = |args: &[&str]| -> Vec<Value> {
        let output = output(&[args, &["--format", "ndjson"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let hash = lines(&["hash", &a]);
    assert_eq!(format!("state {}\n", hash[0]["state"].as_str().unwrap()), stdout(&["hash", &a]));
    let csv = stdout(&["hash", &a, "--format", "csv"]);
    assert!(csv.starts_with("region,checkpoint,generation,frame,time,state") && csv.lines().count() == 2, "{csv}");

    let columns = lines(&["inspect", &a]);
    let whole: Value = serde_json::from_str(&stdout(&["inspect", &a, "--json"])).unwrap();
    let tables = whole["snapshot"]["tables"].as_array().unwrap();
    assert_eq!(columns.len(), tables.iter().map(|table| table["columns"].as_array().unwrap().len()).sum::<usize>());
    assert!(columns.iter().any(|row| row["column"] == "position.x" && row["rows"].as_u64() > Some(100)));

    let systems = lines(&["plan", "particles"]);
    let drag = systems.iter().find(|row| row["writes"].to_string().contains("velocity")).unwrap();
    assert!(drag["stage"].is_string() && drag["batch"].is_u64() && drag["name"].is_string(), "{drag}");

    let parts = lines(&["diff", &a, &b]);
    let part = |kind: &str, name: &str| {
        let found = parts.iter().find(|row| row["part"] == kind && (name.is_empty() || row["name"] == name)).cloned();
        found.unwrap_or_else(|| panic!("{kind} {name}: {parts:?}"))
    };
    assert!(part("entities", "")["only_b"].as_u64() >= Some(1));
    assert!(part("column", "emitter.rate")["differ"].as_u64() >= Some(1));
    assert_eq!(lines(&["diff", &a, &a]), Vec::<Value>::new());

    std::fs::write(directory.path().join("bad.checkpoint"), "nothing").unwrap();
    let folder = directory.path().to_str().unwrap();
    let (found, code) = (lines(&["verify", folder]), code(&output(&["verify", folder, "--format", "csv"])));
    let state = |row: &Value| (row["whole"].as_bool().unwrap(), row["problems"].as_str().unwrap().is_empty());
    assert_eq!(found.iter().map(state).collect::<Vec<_>>(), [(true, true), (true, true), (false, false)]);
    assert_eq!((code, &found[0]["frame"], &found[0]["kind"]), (7, &3.into(), &"checkpoint".into()));
    assert_eq!(lines(&["clean", "--in", folder]), Vec::<Value>::new());
}

#[test]
fn errors_are_objects_where_json_is_asked_for() {
    let (_directory, _, region) = place();
    for (args, kind, status, told) in [
        (&["inspect", &region, "--json"][..], "not_found", 3, "there is no region"),
        (&["hash", &region, "--format=ndjson"], "not_found", 3, "there is no region"),
        (&["stats", &region, "--format", "json"], "not_found", 3, "there is no region"),
        (&["run", "particles", "--frmaes", "3", "--json"], "usage", 2, "unexpected argument '--frmaes'"),
    ] {
        let (code, message) = failure(args);
        let error: Value = serde_json::from_str(&message).unwrap_or_else(|_| panic!("{message}"));
        assert_eq!((code, error["code"].as_i64(), error["kind"].as_str()), (status, Some(status.into()), Some(kind)));
        assert!(error["error"].as_str().unwrap().starts_with(told), "{message}");
    }
    assert!(failure(&["hash", &region, "--format", "csv"]).1.starts_with("error: there is no region"));
    // what comes after `--` is no option
    assert!(failure(&["inspect", "--", "--json"]).1.starts_with("error: "));
}

#[test]
fn a_wrong_command_line_is_told_in_one_line() {
    for (args, told) in [
        (&["run", "particles", "--frmaes", "3"][..], "a similar argument exists: '--frames'"),
        (&["run"], "<SCENE>"),
        (&["run", "particles", "--frames", "1", "--seconds", "1"], "cannot be used with"),
        (&["inspekt"], "'inspect'"),
        (&["gateway", "x", "--listen", "8080"], "write HOST:PORT, as in localhost:8080"),
    ] {
        let (status, message) = failure(args);
        assert_eq!((status, message.lines().count()), (2, 1), "{message}");
        assert!(
            message.starts_with("error: ") && message.contains(told) && message.contains("--help` lists"),
            "{message}"
        );
    }
    assert!(stdout(&["run", "--help"]).contains("Usage: hypostyle run"));
}

#[test]
fn a_log_has_a_line_for_beginning_and_end_and_what_is_observed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.ndjson");
    let log = path.to_str().unwrap();
    stdout(&["run", "particles", "--entities", "300", "--frames", "20", "--log", log, "--log-every", "1000"]);
    let lines: Vec<Value> =
        std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["frame"], &lines[1]["frame"]), (&Value::from(0), &Value::from(20)));
    assert!(lines[0]["frame_seconds"].is_null() && lines[1]["frame_seconds"].as_f64().unwrap() > 0.0);
    let particles = lines[1]["observed"]["particles"].as_f64().unwrap();
    assert_eq!(particles + 1.0, lines[1]["entities"].as_f64().unwrap()); // and an emitter
    let (status, message) = failure(&["run", "particles", "--frames", "1", "--log", "/no/such/folder/file"]);
    assert!(status != 0 && message.contains("/no/such/folder/file"), "{message}");
}

#[test]
fn a_run_without_a_terminal_says_how_it_is_going() {
    let run = |every: &str| {
        let args = ["run", "particles", "--entities", "300", "--seconds", "0.5", "--say-every", every];
        let output = output(&args);
        assert_eq!(code(&output), 0);
        String::from_utf8(output.stderr).unwrap()
    };
    let told = run("0.1");
    let line = told.lines().next().unwrap();
    assert!(line.starts_with("frame ") && line.contains("a frame, particles ") && line.contains("J/kg"), "{told}");
    assert_eq!(run("0"), "");
}

#[test]
fn options_come_from_a_file_and_the_command_line_wins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "entities = 400\nframes = 10\nseed = 7\nprint-hash = true\n").unwrap();
    let direct = |seed: &str| {
        stdout(&["run", "particles", "--entities", "400", "--frames", "10", "--seed", seed, "--print-hash"])
    };
    assert_eq!(stdout(&["run", "particles", "--options", file]), direct("7"));
    assert_eq!(stdout(&["run", "particles", "--options", file, "--seed", "8"]), direct("8"));
    std::fs::write(&path, "restitution = 0.9\nframes = 1\n").unwrap();
    stdout(&["run", "spheres", "--entities", "20", "--options", file]);
    let (status, message) = failure(&["run", "particles", "--options", file]);
    assert!(status == 2 && message.contains("--restitution is an option of scene spheres"), "{message}");
    std::fs::write(&path, "frmaes = 1\n").unwrap();
    let (status, message) = failure(&["run", "particles", "--options", file]);
    assert!(status == 2 && message.contains("'--frmaes'"), "{message}");
    std::fs::write(&path, "frames = \n").unwrap();
    let (status, message) = failure(&["run", "particles", "--options", file]);
    assert!(status == 2 && message.contains("run.toml: not a file of options"), "{message}");
    assert_eq!(failure(&["run", "particles", "--options", "/no/such.toml"]).0, 3);
}

#[test]
fn locales_without_utf8_get_plain_letters() {
    let told = |locale: &str, args: &[&str]| {
        let done = commands::command(args).env("LC_ALL", locale).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let (_directory, _, region) = place();
    let run = ["run", "particles", "--entities", "200", "--frames", "3", "--region", &region, "--keep"];
    let (plain, own) = (told("C", &run), told("C.UTF-8", &["stats", &region, "position"]));
    assert!(plain.is_ascii() && plain.contains(" us"), "{plain}");
    // the bars of a histogram
    assert!(!own.is_ascii(), "{own}");
    let plain = told("POSIX", &["stats", &region, "position"]);
    assert!(plain.is_ascii(), "{plain}");
    assert_eq!(
        plain.lines().map(|line| line.chars().count()).collect::<Vec<_>>(),
        own.lines().map(|line| line.chars().count()).collect::<Vec<_>>(),
        "columns stay where they are"
    );
    // JSON is for programs, and the same in all
    assert_eq!(
        told("C", &["stats", &region, "position", "--json"]),
        told("C.UTF-8", &["stats", &region, "position", "--json"])
    );
}

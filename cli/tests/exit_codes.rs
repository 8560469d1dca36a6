//! The exit codes of docs/cli.md: each of them, and each command with those it can end with.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

mod commands;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use commands::{Running, code, command, output, stdout};

/// Codes of the page, with the words of its table.
const PAGE: &str = include_str!("../../docs/cli.md");

/// What the commands of the table are given, by the words that stand for it.
struct Given {
    _directory: tempfile::TempDir,
    path: PathBuf,
    _port: TcpListener,
    words: Vec<(&'static str, String)>,
}

impl Given {
    fn new() -> Given {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let at = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let (kept, live, files) = (at("kept"), at("live"), at("files"));
        let run = ["run", "particles", "--entities", "500", "--frames", "4", "--workers", "local"];
        let more = ["--region", &kept, "--keep", "--checkpoint", &files, "--record", &at("journal")];
        stdout(&[&run[..], &more].concat());
        let file = format!("{files}/particles-000000000004.checkpoint");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(at("damaged.checkpoint"), bytes).unwrap();
        std::fs::write(at("text.toml"), "x =").unwrap();
        std::fs::write(at("good.toml"), include_str!("../../layouts/particles.toml")).unwrap();
        std::fs::create_dir(at("empty")).unwrap();
        stdout(&[&run[..], &["--trace", &at("trace.json")]].concat());
        // what has a region's files, and is none
        std::fs::create_dir(at("broken")).unwrap();
        for entry in std::fs::read_dir(&kept).unwrap() {
            let name = entry.unwrap().file_name();
            std::fs::write(Path::new(&at("broken")).join(name), vec![0xa5; 8192]).unwrap();
        }
        let words = vec![
            ("KEPT", kept),
            ("LIVE", live),
            ("BROKEN", at("broken")),
            ("NONE", at("none")),
            ("EMPTY", at("empty")),
            ("DIR", path.to_str().unwrap().to_owned()),
            ("FILES", files),
            ("CHECKPOINT", file),
            ("DAMAGED", at("damaged.checkpoint")),
            ("JOURNAL", at("journal")),
            ("TEXT", at("text.toml")),
            ("LAYOUT", at("good.toml")),
            ("TRACE", at("trace.json")),
            ("NEW", at("new")),
            // no system takes such a name
            ("LONG", at(&"x".repeat(300))),
            ("PORT", port.local_addr().unwrap().to_string()),
        ];
        Given { _directory: directory, path, _port: port, words }
    }

    /// The arguments of a line of the table.
    fn args(&self, line: &str) -> Vec<String> {
        let word = |word: &str| {
            let (name, rest) = word.split_at(word.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(word.len()));
            let found = self.words.iter().find(|(known, _)| *known == name);
            found.map_or_else(|| word.to_owned(), |(_, value)| format!("{value}{rest}"))
        };
        line.split(' ').map(word).collect()
    }
}

/// What a command ends with. Capital words stand for what [`Given`] makes. In the order of the page's commands.
const TABLE: &[(i32, &str)] = &[
    (0, "run particles --entities 1e2 --frames 2 --workers local"),
    (0, "run particles --entities 1_00 --frames 2 --workers threads:1 --ring-bytes 64k"),
    (0, "run particles --from CHECKPOINT --frames 1"),
    (1, "run particles --entities 10 --frames 1 --checkpoint LONG"),
    (1, "run particles --entities 10 --frames 1 --record LONG"),
    (2, "run no-such-scene"),
    (2, "run particles --no-such-option"),
    (2, "run particles --entities ten"),
    (2, "run particles --entities 1.5"),
    (2, "run particles --frames -1"),
    (2, "run particles --publish-every 0"),
    (2, "run particles --ring-bytes 64kB"),
    (2, "run particles --region no,name"),
    (3, "run particles --resume --region NONE"),
    (3, "run particles --from NONE"),
    (3, "run particles --from NONE.checkpoint"),
    (3, "run particles --entities 10 --frames 1 --trace NONE/trace.json"),
    (4, "run nbody --resume --region KEPT"),
    (4, "run nbody --from CHECKPOINT"),
    (6, "run particles --region KEPT"),
    (6, "run particles --resume --region LIVE"),
    (6, "run particles --entities 10 --frames 1 --record TEXT"),
    (7, "run particles --resume --region BROKEN"),
    (7, "run particles --from DAMAGED"),
    (0, "scenes"),
    (2, "scenes particles"),
    (0, "list"),
    (0, "list EMPTY"),
    (3, "list NONE"),
    (7, "list TEXT"),
    (0, "inspect KEPT"),
    (0, "inspect CHECKPOINT"),
    (2, "inspect two,words"),
    (3, "inspect NONE"),
    (3, "inspect NONE.checkpoint"),
    (7, "inspect BROKEN"),
    (7, "inspect TEXT"),
    (0, "hash KEPT"),
    (0, "hash JOURNAL"),
    (0, "hash JOURNAL@2"),
    (3, "hash NONE"),
    (3, "hash JOURNAL@99"),
    (7, "hash BROKEN"),
    (7, "hash DAMAGED"),
    (0, "stats KEPT position.x"),
    (2, "stats KEPT position.w"),
    (3, "stats NONE"),
    (7, "stats BROKEN"),
    (0, "watch KEPT position.x"),
    (2, "watch KEPT"),
    (2, "watch KEPT position.x --count 0"),
    (2, "watch KEPT position.w"),
    (3, "watch NONE position.x"),
    (7, "watch BROKEN position.x"),
    (0, "top KEPT --interval 0"),
    (2, "top KEPT --json"),
    (3, "top NONE"),
    (7, "top BROKEN"),
    (2, "steer KEPT"),
    (2, "steer LIVE pause"),
    (2, "steer LIVE pace never"),
    (3, "steer NONE resume"),
    (7, "steer BROKEN"),
    (0, "diff KEPT CHECKPOINT"),
    (1, "diff JOURNAL@2 CHECKPOINT"),
    (2, "diff KEPT"),
    (2, "diff KEPT two,words"),
    (3, "diff KEPT NONE"),
    (7, "diff KEPT DAMAGED"),
    (2, "gateway KEPT --rate 0"),
    (2, "gateway KEPT --components nothing"),
    (2, "gateway KEPT --inputs --listen 127.0.0.1:0"),
    (2, "gateway KEPT --listen nowhere"),
    (3, "gateway NONE"),
    (3, "gateway KEPT --token-file NONE"),
    (6, "gateway KEPT --listen PORT"),
    (7, "gateway BROKEN"),
    (7, "gateway KEPT --token-file DIR"),
    (0, "checkpoint KEPT -o NEW.checkpoint"),
    (2, "checkpoint KEPT -o NEW.checkpoint --level 99"),
    (2, "checkpoint KEPT"),
    (3, "checkpoint NONE -o NEW.checkpoint"),
    (3, "checkpoint KEPT -o NONE/new.checkpoint"),
    (6, "checkpoint KEPT -o TEXT"),
    (7, "checkpoint BROKEN -o NEW.checkpoint"),
    (0, "replay JOURNAL"),
    (0, "replay JOURNAL --to 2 --print-hash"),
    (0, "replay FILES --to 4"),
    (2, "replay JOURNAL --to x"),
    (3, "replay JOURNAL --to 1e6"),
    (3, "replay NONE"),
    (3, "replay EMPTY"),
    (0, "verify CHECKPOINT"),
    (0, "verify FILES"),
    (0, "verify JOURNAL CHECKPOINT"),
    (2, "verify"),
    (3, "verify NONE"),
    (3, "verify EMPTY"),
    (7, "verify DAMAGED"),
    (7, "verify DIR"),
    (7, "verify TEXT"),
    (0, "layout check LAYOUT"),
    (2, "layout check"),
    (3, "layout check NONE.toml"),
    (4, "layout check TEXT"),
    (3, "layout check LAYOUT NONE.toml"),
    (7, "layout check DIR"),
    (0, "plan particles --entities 1k"),
    (2, "plan no-such-scene"),
    (2, "plan particles --entities 1,000"),
    (0, "trace TRACE"),
    (2, "trace TRACE -o NEW.png"),
    (2, "trace TRACE --frames 5"),
    (3, "trace NONE.json"),
    (3, "trace NONE"),
    (3, "trace TRACE -o NONE/new.svg"),
    (7, "trace TEXT"),
    (0, "clean --in EMPTY"),
    (2, "clean NONE --in EMPTY"),
    (3, "clean NONE"),
    (3, "clean --in NONE"),
    (6, "clean LIVE"),
    (7, "clean TEXT"),
    (7, "clean --in TEXT"),
    (2, "bench --rounds 0"),
    (2, "bench --entities 1.5"),
    (2, "worker particles --seed 1"),
    (2, "no-such-command"),
    (0, "--help"),
    (0, "--version"),
];

#[test]
fn each_command_ends_with_the_codes_of_the_page() {
    let given = Given::new();
    let live = given.args("LIVE").remove(0);
    let running = Running::start(&live, &["--workers", "local"]);
    let mut wrong = Vec::new();
    for (expected, line) in TABLE {
        if line.starts_with("gateway") && cfg!(not(feature = "gateway")) {
            continue;
        }
        let args = given.args(line);
        let output = output(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let (found, stderr) = (code(&output), String::from_utf8(output.stderr).unwrap());
        let told = stderr.contains("error: ") || stderr.contains("\"error\":");
        // only a difference that was asked for needs no words
        if found != *expected || told == (found == 0 || line.starts_with("diff JOURNAL")) || stderr.contains('\x1b') {
            wrong.push(format!("{line}: {found} instead of {expected}: {}", stderr.trim_end()));
        }
    }
    drop(running);
    assert!(wrong.is_empty(), "in {}\n{}", given.path.display(), wrong.join("\n"));
    // each command and each code of the page is in the table
    let commands = PAGE
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ']).next());
    let elsewhere = ["export", "query"];
    for command in commands.filter(|command| !elsewhere.contains(command)) {
        let begins = |(_, line): &&(i32, &str)| line.split(' ').next() == Some(command);
        assert!(TABLE.iter().any(|row| begins(&row)), "{command} is not in the table");
    }
    let codes = PAGE.split("## Exit codes").nth(1).unwrap().split("## ").next().unwrap();
    let codes = codes.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<i32>().ok());
    for code in codes.filter(|code| ![5, 130].contains(code)) {
        assert!(TABLE.iter().any(|(known, _)| *known == code), "{code} is not in the table");
    }
}

/// 5: a job whose workers die again and again, wherever in it they die; who dies between jobs costs nothing.
#[cfg(feature = "fault-injection")]
#[test]
fn a_simulation_that_fails_has_its_code() {
    for point in ["claimed", "begun", "ran", "end-pushed"] {
        // as long as it takes until the worker gets a job: what killed it once is never run by main
        let run = ["run", "particles", "--entities", "200000", "--seconds", "300", "--workers", "processes:1"];
        let output = command(&run).env("HYPOSTYLE_FAULT", format!("{point}:1")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 5, "{point}: {text}");
        assert!(
            text.contains("error: ") && text.contains("3 workers died") && !text.contains('\x1b'),
            "{point}: {text}"
        );
    }
    for point in ["published", "disarmed"] {
        let run = ["run", "particles", "--entities", "20000", "--frames", "200", "--workers", "processes:1", "--json"];
        let output = command(&run).env("HYPOSTYLE_FAULT", format!("{point}:1")).output().unwrap();
        assert_eq!(code(&output), 0, "{point}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // a world of so few rows that main has run every job before a worker is there: nobody dies
    let run = ["run", "particles", "--entities", "10", "--frames", "1", "--workers", "processes:1", "--json"];
    let output = command(&run).env("HYPOSTYLE_FAULT", "claimed:1").output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(code(&output) == 5 || (code(&output) == 0 && told["deaths"] == 0), "{told}");
}

/// 130: interrupted.
#[test]
fn an_interrupted_run_has_its_code() {
    let (_directory, region, name) = commands::place();
    let mut running = Running::start(&name, &["--workers", "local"]);
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert!(!region.exists());
}

#[test]
fn stderr_has_no_escapes_unless_it_is_a_terminal() {
    let given = Given::new();
    let args = given.args("gateway KEPT --listen 0.0.0.0:0 -vv");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if cfg!(feature = "gateway") {
        let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running(child);
        let mut first = String::new();
        let stdout = running.0.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut first).unwrap();
        running.signal(rustix::process::Signal::INT);
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut running.0.stderr.take().unwrap(), &mut stderr).unwrap();
        running.0.wait().unwrap();
        assert!(stderr.contains("think of --token-file") && !stderr.contains('\x1b'), "{stderr:?}");
    }
    let noted = given.args("run particles --from CHECKPOINT --seed 5 --frames 1");
    let output = output(&noted.iter().map(String::as_str).collect::<Vec<_>>());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("WARN") && !stderr.contains('\x1b'), "{stderr:?}");
}

#[test]
fn numbers_are_taken_as_people_write_them() {
    let entities = |text: &str| {
        let run = ["run", "particles", "--frames", "0", "--workers", "local", "--entities", text];
        commands::json(&run)["entities_before"].as_u64().unwrap()
    };
    for text in ["1500", "1_500", "1.5e3", "1.5k"] {
        assert_eq!(entities(text), 1500, "{text}");
    }
    let (code, message) = commands::failure(&["run", "particles", "--entities", "1,500"]);
    assert!(code == 2 && message.contains("such as 5000, 5_000, 5e3 or 5k"), "{message}");
    let (code, message) = commands::failure(&["run", "particles", "--ring-bytes", "lots"]);
    assert!(code == 2 && message.contains("64k or 64KiB"), "{message}");
}

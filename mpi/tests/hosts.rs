//! Two hosts, as namespaces of the network with a cable between them: equal states over TCP, and what happens where the
//! cable is pulled in the middle.
//!
//! It needs root, `ip` and `unshare`, and an Open MPI 4, whose launcher starts its part on the other host by a script;
//! elsewhere it says so and does nothing.
#![cfg(all(feature = "mpi", target_os = "linux"))]
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "a test that says why it did nothing")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::program::{PROGRAM, is_there, signal, state};

/// Two namespaces and what is between them; they go with it.
struct Hosts {
    names: [String; 2],
    agent: PathBuf,
    _directory: tempfile::TempDir,
}

const NETWORK: &str = "10.213.77.0/24";
const ADDRESSES: [&str; 2] = ["10.213.77.1", "10.213.77.2"];

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {told}")) }
}

impl Hosts {
    fn new() -> Result<Hosts, String> {
        let version = Command::new("mpirun").arg("--version").output().map_err(|error| error.to_string())?;
        if !String::from_utf8_lossy(&version.stdout).contains("Open MPI) 4") {
            return Err("mpirun is not that of an Open MPI 4".to_owned());
        }
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let names = ["a", "b"].map(|side| format!("hyp{}{side}", std::process::id()));
        let agent = directory.path().join("agent");
        // the launcher gives the host, and what is to be started there
        let script =
            format!("#!/bin/sh\nshift\nexec ip netns exec {0} unshare --uts sh -c \"hostname {0}; $*\"\n", names[1]);
        std::fs::write(&agent, script).map_err(|error| error.to_string())?;
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
        let hosts = Hosts { names, agent, _directory: directory };
        let [a, b] = &hosts.names;
        ip(&format!("netns add {a}"))?;
        ip(&format!("netns add {b}"))?;
        ip(&format!("link add cable netns {a} type veth peer name cable netns {b}"))?;
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&format!("-n {name} addr add {address}/24 dev cable"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set cable up"))?;
        }
        Ok(hosts)
    }

    /// Waits until both hosts see that the cable is in, and lets them forget that the other one was away: for a second or so
    /// the kernel answers "no route to host", and a launcher takes that for an answer.
    fn wait_for_link(&self) {
        let begun = Instant::now();
        for name in &self.names {
            loop {
                let output = Command::new("ip").args(["-n", name, "-o", "link", "show", "cable"]).output().unwrap();
                if String::from_utf8_lossy(&output.stdout).contains("state UP") {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "the cable stays down");
                std::thread::sleep(Duration::from_millis(20));
            }
            ip(&format!("-n {name} neigh flush dev cable")).unwrap();
        }
    }

    /// One rank on each. With `keepalive` a launcher that hears nothing from the other host for four seconds gives up.
    fn mpirun(&self, words: &str, keepalive: bool) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[0], "mpirun", "--allow-run-as-root", "-n", "2"]);
        command.args(["-H", &format!("{}:1,{}:1", ADDRESSES[0], ADDRESSES[1])]);
        command.args(["--mca", "plm_rsh_agent", self.agent.to_str().unwrap(), "--mca", "btl", "tcp,self"]);
        command.args(["--mca", "btl_tcp_if_include", NETWORK, "--mca", "oob_tcp_if_include", NETWORK]);
        for (name, value) in [("time", "2"), ("intvl", "1"), ("probes", "2")].into_iter().filter(|_| keepalive) {
            command.args(["--mca", &format!("oob_tcp_keepalive_{name}"), value]);
        }
        command.arg(PROGRAM).args(words.split_whitespace());
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // what of a launcher is left on the other host
            let processes = Command::new("ip").args(["netns", "pids", name]).output();
            let processes =
                processes.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            processes.split_whitespace().for_each(|process| assert!(signal("-KILL", process) || !is_there(process)));
            // where they could not be made there is nothing to remove
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// A run over both hosts that does not end by itself.
struct Job {
    child: Child,
    lines: Receiver<String>,
    processes: Vec<String>,
}

impl Job {
    fn start(hosts: &Hosts, deadline: u64, keepalive: bool) -> Job {
        let words = "run lj --entities 2048 --frames 10_000_000 --no-observe --show-ranks --deadline";
        let mut command = hosts.mpirun(&format!("{words} {deadline}"), keepalive);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let from = BufReader::new(child.stderr.take().unwrap());
        let (to, lines) = channel();
        // ends with the last process that holds the other end
        std::thread::spawn(move || from.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut job = Job { child, lines, processes: Vec::new() };
        while job.processes.len() < 2 {
            let (_, process) = job.line_with(" is process ").split_once(" is process ").map(own).unwrap();
            job.processes.push(process);
        }
        let network = |process: &String| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        assert_ne!(network(&job.processes[0]), network(&job.processes[1]), "each is on a host of its own");
        job
    }

    /// The next line with a text.
    fn line_with(&self, text: &str) -> String {
        let mut told = String::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { panic!("no line has `{text}`:\n{told}") };
            if line.contains(text) {
                return line;
            }
            told.push_str(&line);
            told.push('\n');
        }
    }

    fn ranks_end(&self) {
        let begun = Instant::now();
        while self.processes.iter().any(|process| is_there(process)) {
            assert!(begun.elapsed() < PATIENCE, "ranks wait for each other for ever");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn own((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

/// For a slow machine: what is waited for takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_cable_that_is_pulled_ends_the_job_and_the_rank_is_named() {
    let hosts = match Hosts::new() {
        Ok(hosts) => hosts,
        Err(why) => {
            eprintln!("skipped: two hosts as namespaces: {why}");
            return;
        }
    };
    let words = "run lj --entities 2048 --frames 20 --no-observe --print-hash=by-id";
    let mut alone = Command::new(PROGRAM);
    alone.args(words.split_whitespace());
    assert_eq!(state(hosts.mpirun(words, false)), state(alone), "over a network");
    let cable = |is: &str| ip(&format!("-n {} link set cable {is}", hosts.names[0])).unwrap();

    // the launcher's own line is cut, too, and it does not know: ranks end by themselves
    let job = Job::start(&hosts, 5, false);
    std::thread::sleep(Duration::from_secs(1));
    cable("down");
    job.line_with("rank 1 sent no message for 5s");
    job.ranks_end();
    drop(job);

    // a launcher that knows ends them before their deadline
    cable("up");
    hosts.wait_for_link();
    let mut job = Job::start(&hosts, 600, true);
    std::thread::sleep(Duration::from_secs(1));
    cable("down");
    job.line_with("lost communication with a remote daemon");
    assert!(!job.child.wait().unwrap().success());
    job.ranks_end();
}

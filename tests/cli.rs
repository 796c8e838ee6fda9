//! The program's contract with scripts where nothing is transferred: usage, exit codes, errors that
//! say what to do, timeouts.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use serde_json::Value;

mod command;

use command::{Ran, Running, free_group, run, run_line};

#[track_caller]
fn fails(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "no {word:?} in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

#[test]
fn help_tells_flags_and_exit_codes() {
    let codes = [
        "Exit codes:",
        "0  complete",
        "1  some",
        "2  usage",
        "3  environment",
        "4  timed out",
        "5  interrupted",
        "6  evicted",
    ];
    let send = [
        "--to",
        "--interface",
        "--rate",
        "--min-rate",
        "--wait-for",
        "--stay",
        "--ttl",
        "--symbol-size",
        "--encrypt",
        "--key",
        "--stats",
        "--json",
    ];
    let receive = [
        "--interface",
        "--into",
        "--via",
        "--sync-timeout",
        "--timeout",
        "--drop",
        "--seed",
        "--max-size",
        "--key",
        "--stats",
        "--json",
        "auto",
        "multicast",
        "unicast",
    ];
    let cases: [(&str, &[&str]); 7] = [
        (
            "",
            &[
                "send", "receive", "pack", "unpack", "keygen", "demo", "bench",
            ],
        ),
        ("send", &send),
        ("receive", &receive),
        (
            "pack",
            &["--out", "--key", "--compress", "--force", "--json"],
        ),
        ("keygen", &["--group", "--show", "--force", "--json"]),
        ("unpack", &["--key", "--into", "--json"]),
        ("demo", &["FILE"]),
    ];
    for (command, words) in cases {
        let ran = run_line(&format!("{command} --help"));
        assert_eq!(ran.code, Some(0));
        for word in words.iter().chain(&codes) {
            assert!(ran.out.contains(word), "no {word:?} in {command} --help");
        }
        assert!(!ran.out.contains("--deaf") && !ran.out.contains("--tied"));
    }
    assert!(run_line("--version").out.starts_with("loopcast "));
}

#[test]
fn a_command_line_that_cannot_be_is_usage() {
    for line in [
        "",
        "send",
        "receive",
        "fetch x",
        "send --rate 0 x",
        "send --rate 10MB/s x",
        "send --rate fast x",
        "send --wait-for -1 x",
        "send --ttl 0 x",
        "send --ttl 256 x",
        "send --symbol-size 1000 x",
        "send --symbol-size 9024 x",
        "send --interface 127.0.0.1 --rate 1M --min-rate 2M Cargo.toml",
        "send --interface 127.0.0.1 --tiers 1M,8M --min-rate 2M Cargo.toml",
        "send --one-way --min-rate 2M x",
        "receive --drop 100% loopcast://239.1.1.1:4700",
        "receive --drop 5 loopcast://239.1.1.1:4700",
        "receive --timeout -1 loopcast://239.1.1.1:4700",
        "receive --via pigeon loopcast://239.1.1.1:4700",
        "demo a b",
        "bench --loss 91",
        "bench --loss 0.05",
        "bench --receivers 0",
        "bench --rate fast",
        "bench --mode none,pigeon",
        "bench --peers rsync",
        "bench --runs 0",
        "bench --size 0",
        "bench --files 0",
        "bench --offload --loopback",
    ] {
        let ran = run_line(line);
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{line}: {ran:?}");
    }
}

#[test]
fn a_bench_says_what_it_cannot_do() {
    let help = run_line("bench --help");
    for word in [
        "--loss",
        "--peers",
        "--files",
        "--offload",
        "--markdown",
        "Exit codes:",
        "3  environment",
    ] {
        assert!(help.out.contains(word), "no {word:?} in bench --help");
    }
    for (line, word) in [
        ("bench --loopback --peers uftp", "as root"),
        ("bench --loopback --size 1024G", "name another folder"),
        ("bench --json /nonexistent/x", "/nonexistent/x"),
    ] {
        fails(&run_line(line), 3, &[word]);
    }
}

#[test]
fn bad_urls_are_usage_and_say_what_to_write() {
    for (url, words) in [
        ("http://239.1.1.1:4700", "loopcast://"),
        ("239.1.1.1:4700", "loopcast://"),
        ("loopcast://239.1.1.1", "loopcast://239.1.1.1:4700"),
        ("loopcast://:4700", "no host or group"),
        ("loopcast://239.1.1.1:65535", "1 to 65534"),
        ("loopcast://ff15::7:4700", "brackets"),
        ("loopcast://239.1.1.256:4700", "IPv4"),
        ("loopcast://10.0.0.1@[ff15::7]:4700", "one family"),
    ] {
        fails(&run(["receive", url]), 2, &[words]);
    }
    for (url, words) in [
        ("loopcast://10.0.0.1:4700", "not a multicast group"),
        ("loopcast://server:4700", "not a multicast group"),
        ("loopcast://239.1.1.1/24:4700", "239.1.1.0/24"),
        ("loopcast://239.0.0.0/8:4700", "1024 groups"),
        ("loopcast://239.1.1.1:4700/film", "name"),
    ] {
        fails(&run(["send", "--to", url, "/dev/null"]), 2, &[words]);
    }
}

#[test]
fn a_missing_file_is_environment() {
    let (url, _) = free_group();
    let ran = run([
        "send",
        "--interface",
        "127.0.0.1",
        "--to",
        &url,
        "/no/such/film.mkv",
    ]);
    fails(&ran, 3, &["/no/such/film.mkv", "check"]);
    fails(
        &run(["demo", "/no/such/film.mkv"]),
        3,
        &["/no/such/film.mkv", "check"],
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (url, _) = free_group();
    let into = file.join("in").display().to_string();
    let ran = run([
        "receive",
        "--interface",
        "127.0.0.1",
        "--timeout",
        "1",
        "--into",
        &into,
        &url,
    ]);
    fails(&ran, 3, &[&into, "another folder"]);
}

#[test]
fn figures_that_cannot_be_written_are_found_before_anything_starts() {
    let ran =
        run_line("receive --timeout 30 --stats /no/such/folder/s.json loopcast://239.194.0.1:4700");
    fails(&ran, 3, &["/no/such/folder/s.json", "--stats"]);
}

#[test]
fn an_unknown_interface_is_environment_and_names_those_there_are() {
    let ran = run_line("receive --timeout 1 --interface nosuch0 loopcast://239.194.0.1:4700");
    fails(&ran, 3, &["nosuch0", "127.0.0.1"]);
    let film = tempfile::NamedTempFile::new().unwrap();
    let film = film.path().display().to_string();
    let ran = run([
        "send",
        "--interface",
        "203.0.113.7",
        "--to",
        "loopcast://239.194.0.1:4700",
        &film,
    ]);
    fails(&ran, 3, &["203.0.113.7"]);
}

#[test]
fn a_port_in_use_is_environment() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film");
    fs::write(&film, "film").unwrap();
    let film = film.display().to_string();
    let (url, port) = free_group();
    let _taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let ran = run(["send", "--interface", "127.0.0.1", "--to", &url, &film]);
    fails(&ran, 3, &[&port.to_string(), "in use"]);
}

#[test]
fn without_a_sender_a_receiver_times_out_and_says_what_it_tried() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("s.json");
    let into = dir.path().join("in");
    let (group, port) = free_group();
    for url in [group, format!("loopcast://127.0.0.1:{port}")] {
        let start = Instant::now();
        let mut words = vec![
            "receive",
            "--interface",
            "127.0.0.1",
            "--timeout",
            "1",
            &url,
        ];
        let (stats, into) = (stats.display().to_string(), into.display().to_string());
        words.extend(["--stats", &stats, "--into", &into]);
        let ran = run(words);
        fails(
            &ran,
            4,
            &["error: ", "check that", "firewall", &port.to_string()],
        );
        assert!(start.elapsed().as_secs_f64() >= 0.9);
        let figures: Value = serde_json::from_str(&fs::read_to_string(&stats).unwrap()).unwrap();
        assert_eq!(figures["role"], "receiver");
        assert_eq!(figures["outcome"], "timed_out");
        assert_eq!(figures["exit_code"], 4);
        assert_eq!(figures["session"], Value::Null);
        assert!(
            figures["sent"]["request"]["packets"].as_u64() > Some(0),
            "{figures}"
        );
    }
}

#[test]
fn json_is_all_that_is_on_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _) = free_group();
    let into = dir.path().display().to_string();
    let ran = run([
        "receive",
        "--interface",
        "127.0.0.1",
        "--timeout",
        "0.3",
        "--json",
        "--into",
        &into,
        &url,
    ]);
    let events: Vec<Value> = ran
        .out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "ready");
    let end = events.last().unwrap();
    assert_eq!(
        (&end["event"], &end["outcome"], &end["exit_code"]),
        (&"end".into(), &"timed_out".into(), &4.into())
    );
    assert!(end["error"].as_str().unwrap().contains("check that"));
    assert!(events.iter().all(|e| e["t"].as_f64().is_some()));
}

/// Every name that is written to JSON stands in the README, so that scripts can rely on it.
#[test]
fn all_names_in_json_are_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut names = BTreeSet::new();
    for file in fs::read_dir(root.join("tests/golden/json")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        values.for_each(|value| add_names(&value.unwrap(), &mut names));
    }
    for name in &names {
        let documented = readme.contains(&format!("`{name}`"));
        assert!(documented, "{name} is not in README.md");
    }
    assert!(names.len() > 80, "only {} names were found", names.len());
}

/// Adds the names of fields, and the words that are their values, but for the reasons of drops.
fn add_names(value: &Value, names: &mut BTreeSet<String>) {
    let is_name = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                if name != "dropped" {
                    add_names(value, names);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| add_names(value, names)),
        Value::String(text) if is_name(text) => {
            names.insert(text.clone());
        }
        _ => {}
    }
}

#[test]
fn keys_are_made_once_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let keygen = |words: &[&str]| {
        let mut command = command::loopcast(["keygen"]);
        command.args(words).env("XDG_CONFIG_HOME", dir.path());
        Running::spawn(&mut command).finish()
    };
    assert_eq!(keygen(&["--show"]).code, Some(3));
    let (made, again, shown) = (keygen(&[]), keygen(&[]), keygen(&["--show"]));
    let print = |ran: &Ran| {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
            .split("fingerprint ")
            .nth(1)
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(print(&made).len(), 32);
    assert!(print(&made) == print(&again) && print(&again) == print(&shown));
    let group = dir.path().join("group").display().to_string();
    assert_eq!(keygen(&["--group", &group]).code, Some(0));
    let first = fs::read_to_string(&group).unwrap();
    let refused = keygen(&["--group", &group]);
    assert!(
        refused.code == Some(3) && refused.err.contains("--force"),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&group).unwrap(), first);
    let forced = keygen(&["--group", &group, "--force"]);
    assert!(forced.code == Some(0) && fs::read_to_string(&group).unwrap() != first);
    assert!(
        !forced
            .out
            .contains(fs::read_to_string(&group).unwrap().trim())
    );
}

//! Files through the real program over loopback: copies, events, figures, signals.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod command;

use command::{Running, free_group, run};

/// Bytes that repeat nowhere.
fn bytes(len: usize, seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_derive_key(seed)
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

struct Stage {
    dir: tempfile::TempDir,
    url: String,
    port: u16,
}

impl Stage {
    fn new() -> Stage {
        let (url, port) = free_group();
        Stage {
            dir: tempfile::tempdir().unwrap(),
            url,
            port,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let bytes = bytes(len, name);
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &bytes).unwrap();
        bytes
    }

    fn send(&self, more: &[&str]) -> Running {
        let cache = self.text("cache");
        let mut words = vec![
            "send",
            "--interface",
            "127.0.0.1",
            "--to",
            &self.url,
            "--hash-cache",
            &cache,
            "--json",
        ];
        words.extend(more);
        Running::start(words)
    }

    fn receive(&self, into: &str, url: &str, more: &[&str]) -> Running {
        let into = self.text(into);
        let mut words = vec![
            "receive",
            "--interface",
            "127.0.0.1",
            "--into",
            &into,
            "--json",
            url,
        ];
        words.extend(more);
        Running::start(words)
    }
}

fn figures(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// All paths in a folder, in order.
fn all_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn two_receivers_get_a_file_with_events_and_figures() {
    let stage = Stage::new();
    let film = stage.file("film one.mkv", 1_000_000);
    let (send_stats, a_stats) = (stage.text("send.json"), stage.text("a.json"));
    let mut sender = stage.send(&[
        "--wait-for",
        "2",
        "--stats",
        &send_stats,
        &stage.text("film one.mkv"),
    ]);
    let mut events = sender.lines();
    let listening = events.until("listening");
    assert!(
        listening["addresses"]
            .as_array()
            .unwrap()
            .contains(&format!("127.0.0.1:{}", stage.port).into())
    );
    // By group and by host; by name and by everything.
    let mut a = stage.receive(
        "a",
        &stage.url,
        &["--stats", &a_stats, "--drop", "5%", "--seed", "7"],
    );
    let b = stage.receive(
        "b",
        &format!("loopcast://127.0.0.1:{}/film%20one.mkv", stage.port),
        &[],
    );
    let a_events = a.lines().rest();
    let (a, b) = (a.finish(), b.finish());
    assert_eq!((a.code, b.code), (Some(0), Some(0)), "{a:?} {b:?}");
    let rest = events.rest();
    let sender = sender.finish();
    assert_eq!(sender.code, Some(0), "{sender:?}");

    for copy in ["a", "b"] {
        assert_eq!(all_in(&stage.path(copy)), ["film one.mkv"]);
        assert!(fs::read(stage.path(copy).join("film one.mkv")).unwrap() == film);
    }
    let names: Vec<&str> = a_events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    for name in ["ready", "heard", "opened", "path", "complete", "end"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let complete = a_events.iter().find(|e| e["event"] == "complete").unwrap();
    assert_eq!(complete["bytes"], 1_000_000);
    assert_eq!(complete["content"], blake3::hash(&film).to_hex().as_str());
    let names: Vec<&str> = rest.iter().map(|e| e["event"].as_str().unwrap()).collect();
    for name in ["offered", "joined", "started", "done", "end"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }

    let s = figures(Path::new(&send_stats));
    assert_eq!(
        (&s["role"], &s["outcome"], &s["exit_code"]),
        (&"sender".into(), &"complete".into(), &0.into())
    );
    assert_eq!(s["receivers"].as_array().unwrap().len(), 2);
    let tiers = s["tiers"].as_array().unwrap();
    let sum = |what: &str| tiers.iter().map(|t| t[what].as_u64().unwrap()).sum::<u64>();
    let sent = |kind: &str| s["sent"][kind]["packets"].as_u64().unwrap_or(0);
    assert_eq!(sum("sent_packets"), sent("data") + sent("repair"), "{s}");
    assert_eq!(sum("listeners"), 2, "{s}");
    assert!(s["sent"]["data"]["bytes"].as_u64() > Some(1_000_000), "{s}");
    assert!(s["wall_seconds"].as_f64() > Some(0.0) && s["cpu_seconds"].as_f64() > Some(0.0));
    let r = figures(Path::new(&a_stats));
    assert_eq!(
        (&r["path"], &r["exit_code"]),
        (&"multicast".into(), &0.into())
    );
    assert!(r["loss"]["discarded"].as_u64() > Some(0), "{r}");
    assert!(r["naks_sent"].as_u64() > Some(0), "{r}");
    assert_eq!(r["session"], s["session"]);
}

#[test]
fn a_folder_with_an_empty_file_arrives_with_its_paths() {
    let stage = Stage::new();
    let one = stage.file("set/one.bin", 70_000);
    let two = stage.file("set/deep/two.bin", 1);
    stage.file("set/empty", 0);
    let sender = stage.send(&["--wait-for", "1", &stage.text("set")]);
    let r = stage.receive("out", &stage.url, &[]).finish();
    assert_eq!(r.code, Some(0), "{r:?}");
    assert_eq!(sender.finish().code, Some(0));
    let out = stage.path("out/set");
    assert!(fs::read(out.join("one.bin")).unwrap() == one);
    assert!(fs::read(out.join("deep/two.bin")).unwrap() == two);
    assert_eq!(fs::read(out.join("empty")).unwrap().len(), 0);
}

#[test]
fn a_part_of_a_folder_comes_alone() {
    let stage = Stage::new();
    let two = stage.file("set/deep/two.bin", 300_000);
    stage.file("set/one.bin", 4_000_000);
    stage.file("set/deep/er/three.txt", 5_000);
    let set = stage.text("set");
    let mut sender = stage.send(&["--stay", &set]);
    sender.lines().until("offered");
    let stats = stage.text("part.json");
    let url = format!("{}/set/deep", stage.url);
    let r = stage.receive("out", &url, &["--exclude", "*.txt", "--stats", &stats]);
    let r = r.finish();
    assert_eq!(r.code, Some(0), "{r:?}");
    assert!(fs::read(stage.path("out/set/deep/two.bin")).unwrap() == two);
    assert_eq!(all_in(&stage.path("out")).len(), 1);
    let figures = figures(Path::new(&stats));
    let came = figures["received"]["total"]["bytes"].as_u64().unwrap();
    assert!(came < 2_000_000, "{came}");

    let url = format!("{}/set/dep", stage.url);
    let r = stage.receive("none", &url, &[]).finish();
    assert_eq!(r.code, Some(1), "{r:?}");
    assert!(r.err.contains("nothing in it matches"), "{r:?}");
    let r = stage.receive("none", &format!("{}/set/[", stage.url), &[]);
    let r = r.finish();
    assert_eq!(r.code, Some(2), "{r:?}");
    stop(sender);
}

#[test]
fn unicast_when_told_and_when_deaf() {
    let stage = Stage::new();
    let film = stage.file("film.bin", 300_000);
    let (told, deaf) = (stage.text("told.json"), stage.text("deaf.json"));
    let sender = stage.send(&["--wait-for", "2", &stage.text("film.bin")]);
    let a = stage.receive("a", &stage.url, &["--via", "unicast", "--stats", &told]);
    let b = stage.receive(
        "b",
        &stage.url,
        &["--deaf", "--sync-timeout", "0.5", "--stats", &deaf],
    );
    let (a, b) = (a.finish(), b.finish());
    assert_eq!((a.code, b.code), (Some(0), Some(0)), "{a:?} {b:?}");
    assert_eq!(sender.finish().code, Some(0));
    for copy in ["a", "b"] {
        assert!(fs::read(stage.path(copy).join("film.bin")).unwrap() == film);
    }
    let (told, deaf) = (figures(Path::new(&told)), figures(Path::new(&deaf)));
    assert_eq!(
        (&told["path"], &told["path_reason"]),
        (&"unicast".into(), &"asked".into())
    );
    assert_eq!(
        (&deaf["path"], &deaf["path_reason"]),
        (&"unicast".into(), &"silence".into())
    );
}

#[test]
fn an_object_that_is_not_there_fails() {
    let stage = Stage::new();
    stage.file("film.bin", 10_000);
    let mut sender = stage.send(&["--stay", &stage.text("film.bin")]);
    sender.lines().until("offered");
    let r = stage
        .receive(
            "out",
            &format!("{}/other.bin", stage.url),
            &["--timeout", "5"],
        )
        .finish();
    assert_eq!(r.code, Some(1), "{r:?}");
    assert!(
        r.err.contains("other.bin") && r.err.contains("film.bin"),
        "{r:?}"
    );
    assert!(r.out.contains("not_found"), "{r:?}");
}

#[test]
fn a_signal_ends_both_in_good_order() {
    let stage = Stage::new();
    stage.file("film.bin", 20_000_000);
    let (send_stats, stats) = (stage.text("send.json"), stage.text("r.json"));
    let mut sender = stage.send(&[
        "--stay",
        "--rate",
        "20M",
        "--stats",
        &send_stats,
        &stage.text("film.bin"),
    ]);
    let mut r = stage.receive("out", &stage.url, &["--stats", &stats]);
    let mut events = r.lines();
    events.until("opened");
    while events.until("progress")["verified"].as_u64() == Some(0) {}
    r.signal("INT");
    let rest = events.rest();
    let r = r.finish();
    assert_eq!(r.code, Some(5), "{r:?}");
    assert_eq!(rest.last().unwrap()["exit_code"], 5);
    assert_eq!(
        all_in(&stage.path("out")),
        ["film.bin.part", "film.bin.part.state"]
    );
    assert_eq!(figures(Path::new(&stats))["outcome"], "interrupted");

    sender.signal("TERM");
    let events = sender.lines().rest();
    let sender = sender.finish();
    assert_eq!(sender.code, Some(5), "{sender:?}");
    assert_eq!(events.last().unwrap()["outcome"], "interrupted");
    let s = figures(Path::new(&send_stats));
    assert_eq!(s["receivers"][0]["outcome"], "left", "{s}");
}

#[test]
fn a_file_that_changes_on_the_way_is_offered_anew_and_nobody_gets_a_mixture() {
    let stage = Stage::new();
    stage.file("film.bin", 4_000_000);
    let mut sender = stage.send(&["--rate", "16M", &stage.text("film.bin")]);
    let events = sender.lines();
    let mut r = stage.receive("out", &stage.url, &[]);
    let mut heard = r.lines();
    heard.until("opened");
    heard.until("progress");
    let new = bytes(3_000_000, "another film");
    fs::write(stage.path("film.bin"), &new).unwrap();
    heard.until("withdrawn");
    let rest = heard.rest();
    let r = r.finish();
    assert_eq!(r.code, Some(0), "{r:?} {rest:?}");
    assert_eq!(all_in(&stage.path("out")), ["film.bin"]);
    assert!(fs::read(stage.path("out").join("film.bin")).unwrap() == new);
    let events = events.rest();
    assert_eq!(sender.finish().code, Some(0), "{events:?}");
    assert!(events.iter().any(|e| e["event"] == "withdrawn"));
    assert!(
        events
            .iter()
            .any(|e| e["event"] == "offered" && e["again"] == true)
    );
}

#[test]
fn a_receiver_goes_on_from_what_an_earlier_run_left() {
    let stage = Stage::new();
    let film = stage.file("film.bin", 8_000_000);
    let _sender = stage.send(&["--stay", "--rate", "30M", &stage.text("film.bin")]);
    let mut r = stage.receive("out", &stage.url, &[]);
    let mut heard = r.lines();
    while heard.until("progress")["verified"].as_u64() < Some(3_000_000) {}
    r.signal("INT");
    heard.rest();
    assert_eq!(r.finish().code, Some(5));
    let stats = stage.text("again.json");
    let r = stage
        .receive("out", &stage.url, &["--stats", &stats])
        .finish();
    assert_eq!(r.code, Some(0), "{r:?}");
    assert!(fs::read(stage.path("out").join("film.bin")).unwrap() == film);
    assert_eq!(all_in(&stage.path("out")), ["film.bin"]);
    let held = figures(Path::new(&stats));
    assert_eq!(held["objects"][0]["complete"], true);
}

#[test]
fn what_is_sent_encrypted_is_unpacked_with_the_key_and_not_without() {
    let stage = Stage::new();
    let film = stage.file("film.bin", 1_300_000);
    let (key, temporary) = (stage.path("k"), stage.path("tmp"));
    fs::create_dir(&temporary).unwrap();
    let pack = |out: &str, key: &str| {
        let (out, key, film) = (stage.text(out), stage.text(key), stage.text("film.bin"));
        command::run(["pack", "--compress", "--out", &out, "--key", &key, &film])
    };
    assert_eq!(pack("a.lca", "o").code, Some(0));

    let words = [
        "send",
        "--interface",
        "127.0.0.1",
        "--to",
        &stage.url,
        "--json",
    ];
    let mut send = command::loopcast(words);
    send.args([
        "--wait-for",
        "2",
        "--encrypt",
        "--hash-cache",
        &stage.text("cache"),
        "--key",
    ]);
    send.arg(&key)
        .arg(stage.path("film.bin"))
        .env("TMPDIR", &temporary);
    let mut sender = Running::spawn(&mut send);
    let mut events = sender.lines();
    assert_eq!(events.until("packed")["key"], key.display().to_string());
    let name = events.until("offered")["name"].as_str().unwrap().to_owned();
    assert!(!name.contains("film"), "{name}");
    let with = stage.receive("with", &stage.url, &["--key", &stage.text("k")]);
    let wrong = stage.receive("wrong", &stage.url, &["--key", &stage.text("o")]);
    let (with, wrong) = (with.finish(), wrong.finish());
    assert_eq!(with.code, Some(0), "{with:?}");
    assert!(with.out.contains("\"unpacked\""));
    assert!(fs::read(stage.path("with/film.bin")).unwrap() == film);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("not for this archive"), "{wrong:?}");
    assert_eq!(all_in(&stage.path("wrong")), [name]);
    assert_eq!(sender.finish().code, Some(0));
    assert_eq!(all_in(&temporary), [""; 0]);

    // A key that is there is kept, and nothing else is made.
    let before = fs::read(&key).unwrap();
    let again = pack("b.lca", "k");
    assert_eq!(again.code, Some(3));
    assert!(again.err.contains("is there already"), "{again:?}");
    assert!(fs::read(&key).unwrap() == before && !stage.path("b.lca").exists());
}

#[test]
fn what_is_larger_than_allowed_is_refused_by_name_and_leaves_nothing() {
    let stage = Stage::new();
    let small = stage.file("in/small", 20_000);
    stage.file("in/large", 20_001);
    let paths = ["in/small", "in/large"].map(|path| stage.text(path));
    let sender = stage.send(&["--wait-for", "1", &paths[0], &paths[1]]);
    let ran = stage
        .receive("out", &stage.url, &["--max-size", "20k"])
        .finish();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err
            .contains("large is not complete: it has 20001 bytes"),
        "{ran:?}"
    );
    assert_eq!(all_in(&stage.path("out")), ["small"]);
    assert!(fs::read(stage.path("out/small")).unwrap() == small);
    drop(sender);
}

#[test]
fn a_bench_on_loopback_compares_and_tells_every_run() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("bench.json");
    let line =
        "bench --loopback --size 1M --runs 2 --receivers 2 --loss 0,5 --mode parity,unicast --json";
    let ran = run(line.split(' ').chain([json.to_str().unwrap()]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out.matches("all the same").count(), 4, "{}", ran.out);
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(row["files"], 1);
        assert_eq!(row["runs"].as_array().unwrap().len(), 2);
        assert!(row["wire"]["min"].as_f64().unwrap() > 1.0, "{row}");
        assert!(row["sender_cpu"]["min"].as_f64().unwrap() > 0.0, "{row}");
    }
}

/// The key of another sender.
const STRANGER: &str = "plc4qwd2asa72a64ge33sfzpme4okp2p";

/// Ends a sender that nobody needs any more.
fn stop(sender: Running) {
    sender.signal("TERM");
    sender.finish();
}

#[test]
fn a_receiver_takes_what_the_sender_asked_for_has_signed_and_nothing_else() {
    let stage = Stage::new();
    stage.file("film", 200_000);
    let mut sender = stage.send(&["--stay", &stage.text("film")]);
    let mut events = sender.lines();
    let listening = events.until("listening");
    let (url, print) = (&listening["url"], &listening["fingerprint"]);
    let (url, print) = (url.as_str().unwrap(), print.as_str().unwrap());
    assert_eq!(url, format!("{}#{print}", stage.url));
    events.until("offered");

    // The URL that the sender prints; the option; and neither.
    for (into, url, more, trusted) in [
        ("a", url, &[] as &[&str], true),
        ("b", &stage.url, &["--trust", print], true),
        ("c", &stage.url, &[], false),
    ] {
        let stats = stage.text("r.json");
        let more = [more, &["--stats", &stats]].concat();
        let mut receiver = stage.receive(into, url, &more);
        let mut events = receiver.lines();
        let known = events.until("sender_known");
        assert_eq!(known["fingerprint"], print);
        assert_eq!(known["trusted"], trusted);
        events.until("complete");
        assert_eq!(receiver.finish().code, Some(0));
        assert_eq!(figures(Path::new(&stats))["sender"], print);
    }

    let mut receiver = stage.receive(
        "d",
        &stage.url,
        &[
            "--trust",
            STRANGER,
            "--timeout",
            "2",
            "--stats",
            &stage.text("r.json"),
        ],
    );
    let events = receiver.lines().rest();
    let named = |name: &str| {
        events
            .iter()
            .filter(|e| e["event"] == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(named("stranger_met").len(), 1, "{events:?}");
    assert_eq!(named("stranger_met")[0]["fingerprint"], print);
    assert!(named("sender_known").is_empty() && named("opened").is_empty());
    let ran = receiver.finish();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for word in [STRANGER, print, "only others were met"] {
        assert!(ran.err.contains(word), "no {word:?} in: {}", ran.err);
    }
    assert!(!ran.err.contains("firewall"), "{}", ran.err);
    let figures = figures(&stage.path("r.json"));
    assert!(figures["loss"]["dropped"]["untrusted"].as_u64().unwrap() > 0);
    assert_eq!(figures["sender"], Value::Null);
    stop(sender);
}

#[test]
fn one_sender_is_asked_for_and_not_two() {
    let stage = Stage::new();
    let other = "aagrujzuifhfw2dvqkhzzknwypin32xx";
    let url = format!("{}#{STRANGER}", stage.url);
    let ran = stage.receive("a", &url, &["--trust", other]).finish();
    assert!(ran.code == Some(2) && ran.err.contains(other), "{ran:?}");
    let ran = stage.receive("a", &stage.url, &["--trust", "me"]).finish();
    assert!(
        ran.code == Some(2) && ran.err.contains("32 characters"),
        "{ran:?}"
    );
    let ran = run(["send", "--to", &url, "x"]);
    assert!(ran.code == Some(2) && ran.err.contains(STRANGER), "{ran:?}");
}

#[test]
fn a_sender_has_its_key_from_the_first_start_on() {
    let stage = Stage::new();
    stage.file("film", 10);
    let start = |home: &str| {
        let mut command = command::loopcast(["send", "--interface", "127.0.0.1", "--json"]);
        command.args(["--stay", "--to", &stage.url, &stage.text("film")]);
        command.env("XDG_CONFIG_HOME", stage.path(home));
        Running::spawn(&mut command)
    };
    let print = |home: &str, before: Option<&str>| {
        let mut sender = start(home);
        let mut events = sender.lines();
        if let Some(name) = before {
            assert_eq!(events.event().unwrap()["event"], name);
        }
        let listening = events.event().unwrap();
        stop(sender);
        assert_eq!(listening["event"], "listening");
        listening["fingerprint"].as_str().unwrap().to_owned()
    };
    let first = print("home", Some("key_made"));
    assert_eq!(print("home", None), first);
    let mut keygen = command::loopcast(["keygen", "--show"]);
    keygen.env("XDG_CONFIG_HOME", stage.path("home"));
    assert!(Running::spawn(&mut keygen).finish().out.contains(&first));

    // A file where the folder should be: it sends all the same, under another key each time.
    fs::write(stage.path("no folder"), "").unwrap();
    let for_once = print("no folder", Some("key_not_kept"));
    assert_ne!(print("no folder", Some("key_not_kept")), for_once);

    // A key that is there and broken is not replaced.
    let key = stage.path("home/loopcast/sender.key");
    fs::write(&key, "no key").unwrap();
    let ran = start("home").finish();
    assert!(
        ran.code == Some(3) && ran.err.contains("sender.key"),
        "{ran:?}"
    );
    assert_eq!(fs::read(&key).unwrap(), b"no key");
}

#[test]
fn who_has_the_group_key_takes_part_and_who_has_not_is_told() {
    let stage = Stage::new();
    let film = stage.file("film", 100_000);
    let key_of = |name: &str| {
        let ran = run(["keygen", "--group", &stage.text(name)]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        stage.text(name)
    };
    let (key, other) = (key_of("key"), key_of("other"));
    let mut sender = stage.send(&["--stay", "--group-key", &key, &stage.text("film")]);
    let mut events = sender.lines();
    events.until("offered");
    let receive = |into: &str, more: &[&str]| {
        let more = [more, &["--timeout", "2"]].concat();
        stage.receive(into, &stage.url, &more).finish()
    };
    assert_eq!(receive("a", &["--group-key", &key]).code, Some(0));
    assert_eq!(fs::read(stage.path("a/film")).unwrap(), film);
    let without = receive("b", &[]);
    assert!(
        without.err.contains("give it with --group-key"),
        "{without:?}"
    );
    let wrong = receive("c", &["--group-key", &other]);
    assert!(
        wrong.err.contains("not sealed with this group key"),
        "{wrong:?}"
    );
    assert_eq!((without.code, wrong.code), (Some(4), Some(4)));
    let no_key = receive("d", &["--group-key", &stage.text("film")]);
    assert!(
        no_key.code == Some(3) && no_key.err.contains("film"),
        "{no_key:?}"
    );
    stop(sender);
}

/// One that gets too little leaves and says why; nobody waits for it, and what it got stays.
#[test]
fn a_receiver_below_the_least_rate_is_told_and_leaves() {
    let stage = Stage::new();
    stage.file("film", 6_000_000);
    let (send_stats, slow_stats) = (stage.text("send.json"), stage.text("slow.json"));
    let film = stage.text("film");
    let words = "--tiers 8M --rate 8M --min-rate 6M --wait-for 2 --stats";
    let mut words: Vec<&str> = words.split(' ').collect();
    words.extend([send_stats.as_str(), &film]);
    let mut sender = stage.send(&words);
    let mut events = sender.lines();
    events.until("listening");
    let good = stage.receive("good", &stage.url, &[]);
    let more = [
        "--drop",
        "50%",
        "--via",
        "multicast",
        "--stats",
        &slow_stats,
    ];
    let mut slow = stage.receive("slow", &stage.url, &more);
    let notice = slow.lines().until("notice");
    assert_eq!(notice["code"], "evicted", "{notice}");
    assert_eq!(notice["why"], "too_slow");
    let slow = slow.finish();
    assert_eq!(slow.code, Some(6), "{slow:?}");
    assert!(slow.err.contains("less than 6 Mbit/s") && slow.err.contains("--via"));
    assert_eq!(good.finish().code, Some(0));
    let told: Vec<Value> = events.rest();
    let gone = told.iter().find(|e| e["event"] == "gone").unwrap();
    assert_eq!(gone["why"], "too_slow");
    // The slow one is listed first, with its losses and what it lacks.
    let shown = told.iter().filter(|e| e["event"] == "progress").any(|e| {
        let (slow, tier) = (&e["slowest"][0], &e["tiers"][0]);
        let lost = |of: &Value| of["lost"].as_u64() > Some(100);
        let some = |of: &Value| (0.05..0.95).contains(&of["progress"].as_f64().unwrap_or_default());
        slow["id"] == gone["receiver"]
            && lost(slow)
            && some(slow)
            && slow["seconds_left"].as_f64() > Some(1.0)
            && tier["tier_bps"] == 8_000_000
            && lost(tier)
            && some(tier)
    });
    assert!(shown, "{told:?}");
    assert_eq!(sender.finish().code, Some(1));

    let slow = figures(Path::new(&slow_stats));
    assert_eq!(slow["outcome"], "evicted");
    assert_eq!(slow["evicted"], "too_slow");
    assert!(all_in(&stage.path("slow")).contains(&"film.part".to_owned()));
    let s = figures(Path::new(&send_stats));
    let mut why = s["receivers"].as_array().unwrap().iter().map(|r| &r["why"]);
    assert!(why.any(|why| why == "too_slow"), "{s}");
}

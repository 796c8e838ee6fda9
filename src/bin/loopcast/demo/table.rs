//! The table at the end.

use std::time::Duration;

use serde_json::Value;

use super::Who;
use crate::console::Console;
use crate::human;

const HEAD: [&str; 9] = [
    "receiver",
    "",
    "path",
    "time",
    "lost",
    "NAKs",
    "suppressed",
    "wire/file",
    "copy",
];

/// One line: what each column shows.
pub(super) type Row = [String; HEAD.len()];

/// A receiver's line, from its figures.
pub(super) fn receiver(who: Who, stats: &Value, size: u64, same: bool) -> Row {
    let loss = &stats["loss"];
    // What the deaf one discards is its deafness; its loss is that of the path it took.
    let causes = ["network", "overflowed", "stalled", "discarded"];
    let causes = &causes[..if who == Who::Deaf { 3 } else { 4 }];
    let lost: u64 = causes.iter().map(|c| number(&loss[*c])).sum();
    let came: u64 = ["data", "repair", "unicast_data"]
        .iter()
        .map(|k| packets(stats, "received", k))
        .sum();
    [
        who.name().to_owned(),
        who.lot().to_owned(),
        stats["path"].as_str().unwrap_or("none").to_owned(),
        seconds(&stats["wall_seconds"]),
        human::percent(lost as f64 / (lost + came).max(1) as f64),
        number(&stats["naks_sent"]).to_string(),
        number(&stats["naks_suppressed"]).to_string(),
        ratio(number(&stats["received"]["total"]["bytes"]), size),
        if same { "verified" } else { "WRONG" }.to_owned(),
    ]
}

/// Prints the receivers' lines, columns aligned.
pub(super) fn print(console: &Console, rows: &[Row]) {
    lines(rows).iter().for_each(|line| console.say(line));
}

fn lines(rows: &[Row]) -> Vec<String> {
    let head: Row = HEAD.map(str::to_owned);
    let all: Vec<&Row> = std::iter::once(&head).chain(rows).collect();
    let width = |i: usize| all.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &Row| {
        let cell = |(i, text): (usize, &String)| {
            // Words to the left, figures to the right.
            if (3..8).contains(&i) {
                format!("{text:>w$}", w = widths[i])
            } else {
                format!("{text:w$}", w = widths[i])
            }
        };
        row.iter()
            .enumerate()
            .map(cell)
            .collect::<Vec<_>>()
            .join("  ")
            .trim_end()
            .to_owned()
    };
    all.into_iter().map(line).collect()
}

/// Prints what the sender did.
pub(super) fn print_sender(console: &Console, stats: &Value, size: u64) {
    let bytes = |kind: &str| number(&stats["sent"][kind]["bytes"]);
    let total = bytes("total");
    let data = bytes("data") + bytes("repair");
    let unicast = bytes("unicast_data");
    let other = total.saturating_sub(data + unicast);
    console.say(format!(
        "the sender sent {} x the file in {}:",
        ratio(total, size),
        seconds(&stats["wall_seconds"]),
    ));
    console.say(format!(
        "  {} by multicast to all, {} by unicast to one, {} of control; {} for {}",
        ratio(data, size),
        ratio(unicast, size),
        ratio(other, size),
        human::count(packets(stats, "sent", "repair"), "repair"),
        human::count(number(&stats["naks_received"]), "NAK"),
    ));
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn packets(stats: &Value, way: &str, kind: &str) -> u64 {
    number(&stats[way][kind]["packets"])
}

fn seconds(value: &Value) -> String {
    human::seconds(Duration::try_from_secs_f64(value.as_f64().unwrap_or(0.0)).unwrap_or_default())
}

/// Bytes on the wire over bytes of the file; an empty file has no ratio.
fn ratio(bytes: u64, size: u64) -> String {
    if size == 0 {
        "-".to_owned()
    } else {
        format!("{:.3}", bytes as f64 / size as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_from_figures() {
        let stats = json!({
            "path": "multicast", "wall_seconds": 8.14, "naks_sent": 12, "naks_suppressed": 3,
            "loss": {"network": 1, "overflowed": 2, "stalled": 0, "discarded": 2, "dropped": {"duplicate": 7}},
            "received": {"total": {"packets": 100, "bytes": 1500}, "data": {"packets": 90, "bytes": 1400},
                         "repair": {"packets": 5, "bytes": 70}},
        });
        let row = receiver(Who::Lossy, &stats, 1000, true);
        assert_eq!(
            row[2..],
            [
                "multicast",
                "8.1 s",
                "5.0 %",
                "12",
                "3",
                "1.500",
                "verified"
            ]
        );
        let lines = lines(&[row]);
        assert!(lines[0].starts_with("receiver"));
        assert_eq!(lines[0].find("copy"), lines[1].find("verified"));
    }

    #[test]
    fn figures_that_are_missing_harm_nobody() {
        let row = receiver(Who::Deaf, &Value::Null, 0, false);
        assert_eq!(row[2..], ["none", "0.0 s", "0.0 %", "0", "0", "-", "WRONG"]);
    }
}

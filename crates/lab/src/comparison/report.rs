//! What is left of a bench: a table for the terminal and for documents, and JSON.

use serde_json::{Value, json};

use super::figures::{Figures, Spread, ratios};
use super::matrix::Setting;
use super::tool::Tool;
use crate::machine::Machine;

const HEAD: [&str; 10] = [
    "receivers",
    "loss",
    "rate",
    "tool",
    "time s",
    "/ best peer",
    "wire / file",
    "CPU s send+recv",
    "MB send, recv",
    "copies",
];

/// One tool's runs in one setting.
#[derive(Debug)]
pub struct Row {
    /// Where it ran.
    pub setting: Setting,
    /// What ran.
    pub tool: Tool,
    /// By run; none where the tool did not deliver, or failed before and was not run again.
    pub runs: Vec<Option<Figures>>,
    /// Why not.
    pub failure: Option<String>,
}

impl Row {
    /// No runs yet.
    pub fn new(setting: Setting, tool: Tool) -> Row {
        Row {
            setting,
            tool,
            runs: Vec::new(),
            failure: None,
        }
    }

    /// Notes a run without figures; says why.
    pub fn fail(&mut self, why: String) -> String {
        self.runs.push(None);
        self.failure.insert(why).clone()
    }

    fn spread(&self, figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().flatten().map(figure))
    }

    fn times(&self) -> Vec<Option<f64>> {
        let times = self.runs.iter().map(|run| run.map(|f| f.seconds));
        times.collect()
    }
}

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What was typed.
    pub command: String,
    /// What the network is, in words.
    pub network: String,
    /// What it was measured on.
    pub machine: Machine,
    /// Bytes of all files together.
    pub size: u64,
    /// Number of files that tools send, unless they take one only.
    pub files: usize,
    /// Seed of the files' bytes.
    pub seed: u64,
    /// What each tool did in each setting.
    pub rows: Vec<Row>,
}

impl Report {
    /// A row's times over those of the best peer in the same setting and run.
    fn ratio(&self, row: &Row) -> Option<Spread> {
        let peers = self.rows.iter().filter(|r| !r.tool.is_ours());
        let beside = peers.filter(|r| r.setting == row.setting).map(Row::times);
        ratios(&row.times(), &beside.collect::<Vec<_>>())
    }

    fn cells(&self, row: &Row) -> [String; HEAD.len()] {
        let Setting {
            loss,
            receivers,
            pace,
        } = &row.setting;
        let cpu = |f: fn(&Figures) -> f64| row.spread(f).map(|s| s.median);
        let mb = |f: fn(&Figures) -> u64| row.spread(|r| f(r) as f64 / 1e6).map(|s| s.max);
        let pair = |a: Option<f64>, b: Option<f64>, between: &str, decimals: usize| match (a, b) {
            (Some(a), Some(b)) => format!("{a:.decimals$}{between}{b:.decimals$}"),
            _ => "-".to_owned(),
        };
        let there = row.runs.iter().flatten().count();
        [
            receivers.to_string(),
            loss.to_string(),
            pace.to_string(),
            row.tool.name().to_owned(),
            spread(row.spread(|f| f.seconds), 2),
            spread(self.ratio(row), 2),
            spread(row.spread(|f| f.wire), 3),
            pair(cpu(|f| f.sender_cpu), cpu(|f| f.receivers_cpu), " + ", 2),
            pair(mb(|f| f.sender_memory), mb(|f| f.receiver_memory), ", ", 0),
            if there == row.runs.len() {
                "all the same".to_owned()
            } else {
                format!("{there} of {} runs", row.runs.len())
            },
        ]
    }

    /// The lines of a table, columns aligned.
    pub fn table(&self) -> Vec<String> {
        let head = HEAD.map(str::to_owned);
        let rows = self.rows.iter().map(|row| self.cells(row));
        let all: Vec<_> = std::iter::once(head).chain(rows).collect();
        let width = |i: usize| all.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        let line = |row: &[String; HEAD.len()]| {
            let cells = row.iter().zip(&widths);
            let padded: Vec<_> = cells.map(|(text, w)| format!("{text:w$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        all.iter().map(line).collect()
    }

    /// Files that a tool sends.
    fn files_of(&self, tool: Tool) -> usize {
        if tool.takes_several_files() {
            self.files
        } else {
            1
        }
    }

    /// Which tools sent something else than the others.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for row in &self.rows {
            if self.files_of(row.tool) < self.files {
                let name = row.tool.name();
                let note = format!("{name} takes one file at a time: it sent all bytes in one");
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// A section of a document.
    pub fn markdown(&self) -> String {
        let line = |cells: [String; HEAD.len()]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!(
            "`{}`\n\n{}. {}.\n\n",
            self.command,
            self.network,
            self.machine.words()
        );
        text += &line(HEAD.map(str::to_owned));
        text += &line(HEAD.map(|_| "---".to_owned()));
        self.rows
            .iter()
            .for_each(|row| text += &line(self.cells(row)));
        for note in self.notes() {
            text += &format!("\n{note}\n");
        }
        for row in &self.rows {
            if let Some(why) = &row.failure {
                let why = why.lines().next().unwrap_or_default();
                text += &format!("\n{}, {}: {why}\n", row.tool.name(), row.setting);
            }
        }
        text
    }

    /// All figures of all runs.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "receivers": row.setting.receivers,
                "loss": row.setting.loss.share(),
                "rate": row.setting.pace.to_string(),
                "tool": row.tool.name(),
                "files": self.files_of(row.tool),
                "runs": row.runs,
                "seconds": row.spread(|f| f.seconds),
                "wire": row.spread(|f| f.wire),
                "sender_cpu": row.spread(|f| f.sender_cpu),
                "receivers_cpu": row.spread(|f| f.receivers_cpu),
                "to_best_peer": self.ratio(row),
                "failure": row.failure,
            })
        };
        json!({
            "version": self.version,
            "command": self.command,
            "network": self.network,
            "machine": self.machine,
            "size": self.size,
            "seed": self.seed,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// `0.84 (0.80..0.91)`, or the one figure there is.
fn spread(spread: Option<Spread>, decimals: usize) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { median, min, max }) if min == max => format!("{median:.decimals$}"),
        Some(Spread { median, min, max }) => {
            format!("{median:.decimals$} ({min:.decimals$}..{max:.decimals$})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Pace;
    use super::super::tool::{Mode, Peer};
    use super::*;

    fn report() -> Report {
        let setting = Setting {
            loss: "5".parse().unwrap(),
            receivers: 4,
            pace: Pace::Unlimited,
        };
        let took = |seconds| {
            Some(Figures {
                seconds,
                wire: 1.1,
                sender_cpu: 0.25,
                receivers_cpu: 0.5,
                sender_memory: 30_000_000,
                receiver_memory: 20_000_000,
            })
        };
        let row = |tool, runs: Vec<_>, failure: Option<&str>| Row {
            setting: setting.clone(),
            tool,
            runs,
            failure: failure.map(str::to_owned),
        };
        Report {
            version: "0.0.0",
            command: "loopcast bench".to_owned(),
            network: "a network".to_owned(),
            machine: Machine::default(),
            size: 64 << 20,
            files: 1,
            seed: 1,
            rows: vec![
                row(Tool::Ours(Mode::Parity), vec![took(1.0), took(2.0)], None),
                row(Tool::Peer(Peer::Uftp), vec![took(4.0), took(4.0)], None),
                row(
                    Tool::Peer(Peer::Udpcast),
                    vec![None, None],
                    Some("late\nlast words"),
                ),
            ],
        }
    }

    #[test]
    fn a_table_is_aligned_and_tells_who_failed() {
        let lines = report().table();
        assert_eq!(lines.len(), 4);
        let column = lines[0].find("copies").unwrap();
        assert_eq!(lines[1].find("all the same"), Some(column));
        assert_eq!(lines[3].find("0 of 2 runs"), Some(column));
        assert!(lines[1].contains("1.50 (1.00..2.00)  0.38 (0.25..0.50)  1.100"));
        assert!(lines[1].contains("0.25 + 0.50") && lines[1].contains("30, 20"));
    }

    #[test]
    fn a_document_has_every_cell() {
        let text = report().markdown();
        let rows: Vec<_> = text.lines().filter(|l| l.starts_with('|')).collect();
        assert_eq!(rows.len(), 5);
        assert!(
            rows.iter()
                .all(|r| r.matches('|').count() == HEAD.len() + 1)
        );
        assert!(text.ends_with("udpcast, 4 receivers, loss 5 %, rate unlimited: late\n"));
    }

    #[test]
    fn who_sent_one_file_instead_of_several_is_told() {
        assert!(report().notes().is_empty());
        let report = Report {
            files: 10,
            ..report()
        };
        let notes = report.notes();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("udpcast takes one file"));
        assert!(report.markdown().contains(&notes[0]));
        assert_eq!(report.json()["rows"][1]["files"], 10);
        assert_eq!(report.json()["rows"][2]["files"], 1);
    }

    #[test]
    fn json_has_every_run() {
        let json = report().json();
        assert_eq!(json["rows"][0]["to_best_peer"]["median"], 0.375);
        assert_eq!(json["rows"][1]["runs"][1]["seconds"], 4.0);
        assert_eq!(json["rows"][2]["seconds"], Value::Null);
        assert_eq!(json["rows"][0]["loss"], 0.05);
    }
}

//! `loopcast demo`: one sender and four receivers on loopback, as processes of their own, with a real
//! file. Everything it shows comes from their events and figures; it checks the copies itself.

use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use loopcast::url::Url;
use loopcast_lab::subject::{self, Subject};

use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::interrupt::Interrupt;
use crate::scratch::{self, Scratch};

mod child;
mod screen;
mod table;

use child::{Child, Ended, News};
use screen::Screen;

/// Bytes that the demo makes up when no file is named.
const SIZE: u64 = 64_000_000;

/// IP bytes of a data packet over IPv4.
const PACKET: u64 = loopcast::config::DEFAULT_SYMBOL_SIZE as u64 + 36 + 28;

/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(50);

/// One of the processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Who {
    /// Sends.
    Sender,
    /// Receives with nothing in its way.
    Steady,
    /// Loses 5 % of all packets.
    Lossy,
    /// Joins half way.
    Late,
    /// Hears no group, and must find that out.
    Deaf,
}

impl Who {
    const RECEIVERS: [Who; 4] = [Who::Steady, Who::Lossy, Who::Late, Who::Deaf];

    fn name(self) -> &'static str {
        match self {
            Who::Sender => "sender",
            Who::Steady => "steady",
            Who::Lossy => "lossy",
            Who::Late => "late",
            Who::Deaf => "deaf",
        }
    }

    /// What is special about it.
    fn lot(self) -> &'static str {
        match self {
            Who::Sender => "sends",
            Who::Steady => "nothing in its way",
            Who::Lossy => "loses 5 %",
            Who::Late => "joins half way",
            Who::Deaf => "hears no multicast",
        }
    }

    /// The path that it should end on.
    fn path(self) -> &'static str {
        if self == Who::Deaf {
            "unicast"
        } else {
            "multicast"
        }
    }
}

/// Runs it all.
pub(crate) fn run(args: args::Demo, interrupt: &Interrupt) -> End {
    let console = Console::new(false);
    match Demo::prepare(&args, interrupt, &console).and_then(Demo::play) {
        Ok(()) => End::quiet(Exit::Complete),
        Err(end) => end,
    }
}

struct Demo<'a> {
    args: &'a args::Demo,
    interrupt: &'a Interrupt,
    console: &'a Console,
    place: Scratch,
    subject: Subject,
    url: Url,
    news: Receiver<News>,
    post: Sender<News>,
    running: Vec<Child>,
    ended: Vec<Ended>,
    screen: Screen<'a>,
    deadline: Instant,
}

impl<'a> Demo<'a> {
    fn prepare(
        args: &'a args::Demo,
        interrupt: &'a Interrupt,
        console: &'a Console,
    ) -> Result<Demo<'a>, End> {
        let size = match &args.file {
            Some(file) => subject::size_of(file).map_err(End::environment)?,
            None => SIZE,
        };
        let copies = if args.file.is_some() { 4 } else { 5 };
        let place = Scratch::new(
            &std::env::temp_dir(),
            "loopcast-demo-",
            size.saturating_mul(copies),
        )?;
        let subject = match &args.file {
            Some(file) => Subject::read(file),
            None => Subject::make_up(place.path("film.bin"), SIZE, 0),
        };
        let subject = subject.map_err(End::environment)?;
        let url = scratch::free_group()?;
        console.say(format!(
            "one sender and four receivers on this machine's loopback, {} at {}, {url}",
            human::bytes(size),
            args.rate
        ));
        for who in Who::RECEIVERS {
            console.say(format!("  {:7} {}", who.name(), who.lot()));
        }
        // A cycle, unicast for the deaf one at the slowest it may be, and again as much for a machine
        // that is busy with other things.
        let once = args.rate.time_for(size.saturating_mul(2));
        let limit = once
            .saturating_mul(10)
            .saturating_add(Duration::from_secs(60));
        let (post, news) = unbounded();
        let start = Instant::now();
        Ok(Demo {
            args,
            interrupt,
            console,
            place,
            subject,
            url,
            news,
            post,
            running: Vec::new(),
            ended: Vec::new(),
            screen: Screen::new(console, size),
            deadline: start
                .checked_add(limit)
                .unwrap_or(start + Duration::from_secs(86_400)),
        })
    }

    /// Plays to the end and judges.
    fn play(mut self) -> Result<(), End> {
        let sender = self.send_command();
        self.spawn(Who::Sender, &sender)?;
        let mut late_is_in = false;
        while !self.running.is_empty() {
            match self.news.recv_timeout(TICK) {
                Ok(News::Event(who, event)) => {
                    self.screen.show(who, &event);
                    let name = event["event"].as_str().unwrap_or_default();
                    if who == Who::Sender && name == "listening" {
                        for first in [Who::Steady, Who::Lossy, Who::Deaf] {
                            let command = self.receive_command(first);
                            self.spawn(first, &command)?;
                        }
                    }
                    if who == Who::Sender && !late_is_in && self.half_is_sent(name, &event) {
                        late_is_in = true;
                        let command = self.receive_command(Who::Late);
                        self.spawn(Who::Late, &command)?;
                    }
                }
                Ok(News::Over(who)) => self.one_ended(who)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if self.interrupt.came() {
                return Err(End::error(
                    Exit::Interrupted,
                    "interrupted: the demo's processes are stopped",
                ));
            }
            if Instant::now() > self.deadline {
                let left: Vec<&str> = self.running.iter().map(|c| c.who().name()).collect();
                return Err(End::error(
                    Exit::TimedOut,
                    format!(
                        "still running after all the time that it could take: {}",
                        left.join(", ")
                    ),
                ));
            }
        }
        self.screen.clear();
        self.judge()
    }

    /// Whether an event of the sender says that half of the first cycle is out.
    fn half_is_sent(&self, name: &str, event: &serde_json::Value) -> bool {
        let n = |field: &str| event[field].as_u64().unwrap_or(0);
        let fresh = n("sent_bytes").saturating_sub(n("repairs").saturating_mul(PACKET));
        name == "cycle_ended"
            || (name == "progress" && n("receivers") > 0 && fresh >= self.subject.size / 2)
    }

    fn one_ended(&mut self, who: Who) -> Result<(), End> {
        let Some(at) = self.running.iter().position(|c| c.who() == who) else {
            return Ok(());
        };
        let ended = self.running.swap_remove(at).finish()?;
        if ended.code == Some(0) {
            self.ended.push(ended);
            return Ok(());
        }
        // Dropping the others kills them.
        self.screen.clear();
        let how = match ended.code {
            Some(code) => format!("ended with exit code {code}"),
            None => "was killed".to_owned(),
        };
        let exit = if ended.code == Some(Exit::Environment.code().into()) {
            Exit::Environment
        } else {
            Exit::Failed
        };
        Err(End::error(
            exit,
            format!("{} {how}\n{}", who.name(), ended.errors.trim_end()),
        ))
    }

    fn judge(&self) -> Result<(), End> {
        let mut wrong = Vec::new();
        let mut rows = Vec::new();
        for who in Who::RECEIVERS {
            let Some(ended) = self.ended.iter().find(|e| e.who == who) else {
                wrong.push(format!(
                    "{} never started: the sender was done before",
                    who.name()
                ));
                continue;
            };
            let same = self.subject.is_same_as(&self.place.path(who.name()));
            let path = ended.stats["path"].as_str().unwrap_or("none");
            if path != who.path() {
                wrong.push(format!(
                    "{} ended on {path}, not on {}",
                    who.name(),
                    who.path()
                ));
            }
            if let Err(why) = &same {
                wrong.push(format!("{}'s copy is wrong: {why}", who.name()));
            }
            rows.push(table::receiver(
                who,
                &ended.stats,
                self.subject.size,
                same.is_ok(),
            ));
        }
        let sender = self
            .ended
            .iter()
            .find(|e| e.who == Who::Sender)
            .map(|e| &e.stats);
        table::print(self.console, &rows);
        if let Some(stats) = sender {
            table::print_sender(self.console, stats, self.subject.size);
        }
        if wrong.is_empty() {
            self.console.say(format!(
                "all four copies are right: BLAKE3 {}",
                &self.subject.hash.to_hex().as_str()[..16]
            ));
            return Ok(());
        }
        Err(End::error(Exit::Failed, wrong.join("\n")))
    }

    fn spawn(&mut self, who: Who, arguments: &[String]) -> Result<(), End> {
        let child = Child::spawn(
            who,
            arguments,
            &self.place.path(&format!("{}.json", who.name())),
            &self.post,
        )?;
        self.running.push(child);
        Ok(())
    }

    fn send_command(&self) -> Vec<String> {
        let mut c = words(&[
            "send",
            "--interface",
            "127.0.0.1",
            "--wait-for",
            "3",
            "--rate",
        ]);
        c.push(format!("{}bps", self.args.rate.as_bps()));
        c.extend(["--to".to_owned(), self.url.to_string()]);
        c.extend([
            "--hash-cache".to_owned(),
            path(&self.place.path(Who::Sender.name())),
        ]);
        // A name that starts with a dash is a name all the same.
        c.extend(["--".to_owned(), path(&self.subject.path)]);
        c
    }

    fn receive_command(&self, who: Who) -> Vec<String> {
        let mut c = words(&["receive", "--interface", "127.0.0.1", "--into"]);
        c.push(path(&self.place.path(who.name())));
        match who {
            Who::Lossy => c.extend(words(&["--drop", "5%", "--seed", "1"])),
            Who::Deaf => c.push("--deaf".to_owned()),
            _ => {}
        }
        c.push(self.url.to_string());
        c
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// A path as an argument. Ours are UTF-8 (see [`Scratch::new`] and [`Subject::read`]).
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        self.screen.clear();
        // The processes before their files, which go with the place.
        self.running.clear();
    }
}

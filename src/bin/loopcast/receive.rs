//! `loopcast receive`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use loopcast::driver::{Receiver, ReceiverEvent, ReceiverProgress, ReceiverSummary};
use loopcast::engine::{DropReason, PathChoice};
use loopcast::secret::Secret;
use loopcast::store::{TreeOptions, is_archive};
use loopcast::url::Place;
use loopcast::wire::{MoveCause, NoticeCode};

use crate::advice;
use crate::archiving;
use crate::args;
use crate::bars::Bars;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::interrupt::Interrupt;
use crate::keygen::read_group_key;
use crate::run;
use crate::stats::StatsFile;

/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(50);

/// Receives, and says how it went.
pub(crate) fn run(args: args::Receive, interrupt: &Interrupt) -> End {
    if args.output.tied {
        Interrupt::tie_to_stdin();
    }
    let stats = match args
        .output
        .stats
        .as_deref()
        .map(StatsFile::create)
        .transpose()
    {
        Ok(stats) => stats,
        Err(end) => return end,
    };
    let console = Console::new(args.output.json);
    let mut view = View::new(&console, &args);
    // Before anything comes: a key that can't be read is told at once.
    let key = args.key.as_deref().map(archiving::archive_key).transpose();
    let received = key.and_then(|key| Ok((key, view.receive(interrupt)?)));
    let (summary, end) = match received {
        Ok((key, summary)) => {
            let mut end = view.verdict(&summary);
            view.say_figures(&summary);
            if let Some(Err(e)) = key.map(|key| view.unpack(&summary, &key, interrupt)) {
                match end.exit {
                    Exit::Complete => end = e,
                    _ => console.warn(&e.error),
                }
            }
            (Some(summary), end)
        }
        Err(end) => (None, end),
    };
    run::finish(&console, stats, "receiver", summary.as_ref(), end)
}

/// What is shown of a receiver.
struct View<'a> {
    console: &'a Console,
    args: &'a args::Receive,
    bars: Bars<'a>,
    interface: Option<String>,
    /// The one that is listened to.
    sender: Option<SocketAddr>,
    /// Others than the sender trusted have described something.
    strangers: bool,
}

/// Addresses as texts.
fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}

/// How long the rest takes at this rate, if one can tell.
fn left(p: &ReceiverProgress) -> String {
    let rest = p.total.saturating_sub(p.have);
    if p.rate.is_zero() || rest == 0 {
        return String::new();
    }
    format!(", {} left", human::wait(p.rate.time_for(rest)))
}

impl<'a> View<'a> {
    fn new(console: &'a Console, args: &'a args::Receive) -> View<'a> {
        View {
            console,
            args,
            bars: Bars::new(console),
            interface: None,
            sender: None,
            strangers: false,
        }
    }

    fn receive(&mut self, interrupt: &Interrupt) -> Result<ReceiverSummary, End> {
        let receiver = self.start()?;
        let mut stopping = false;
        loop {
            match receiver.events().recv_timeout(TICK) {
                Ok(event) => self.show(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if interrupt.came() && !stopping {
                stopping = true;
                self.bars.clear();
                self.console.say("stopping; once more to end at once");
                receiver.stop();
            }
        }
        self.bars.clear();
        receiver
            .join()
            .map_err(|e| End::error(Exit::Environment, e))
    }

    /// Unpacks the archives that have come whole.
    fn unpack(&self, s: &ReceiverSummary, key: &Secret, interrupt: &Interrupt) -> Result<(), End> {
        let whole = s.objects.iter().filter(|o| o.complete);
        for path in whole.filter_map(|o| o.path.as_deref()) {
            if is_archive(path) {
                let into = &self.args.into;
                archiving::unpack(path, key.clone(), into, self.console, interrupt)?;
            } else {
                let path = path.to_string_lossy();
                let line = format!("{} is no archive and stays as it is", human::plain(&path));
                self.console.say(line);
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<Receiver, End> {
        let args = self.args;
        let mut builder = Receiver::builder()
            .from(args.url.clone())
            .into_dir(&args.into)
            .trees(TreeOptions {
                overwrite: args.overwrite,
                delete: args.delete,
                owner: args.owner,
                xattrs: args.xattrs,
                outside_links: args.outside_links,
            })
            .filter(args.selection.0.clone())
            .via(args.via.into())
            .one_way(args.one_way)
            .no_join(args.no_join)
            .sync_timeout(args.sync_timeout)
            .timeout(args.timeout)
            .drop_rate(args.drop)
            .drop_group(args.deaf)
            .offload(!args.output.no_offload);
        if let Some(interface) = &args.interface {
            builder = builder.interface(interface);
        }
        if let Some(folder) = &args.hash_cache {
            builder = builder.hash_cache(folder);
        }
        if let Some(most) = args.max_size {
            builder = builder.max_size(most.get());
        }
        if let Some(path) = &args.group_key {
            builder = builder.group_key(read_group_key(path)?);
        }
        if let Some(sender) = args.trust {
            builder = builder.trust(sender);
        }
        if let Some(rate) = args.downlink {
            builder = builder.downlink(rate);
        }
        if let Some(seed) = args.seed {
            builder = builder.seed(seed);
        }
        Ok(builder.start()?)
    }

    fn show(&mut self, event: &ReceiverEvent) {
        self.console.event(event);
        self.show_sender(event);
        self.show_way(event);
        self.show_object(event);
    }

    /// Senders that are met, and what they say.
    fn show_sender(&mut self, event: &ReceiverEvent) {
        let console = self.console;
        use ReceiverEvent as E;
        match event {
            E::Heard { session, address } => {
                self.sender = Some(*address);
                console.say(format!("found a sender at {address}, session {session}"));
            }
            // It takes a moment until the silence of the old session shows that this is so.
            E::AnotherSender { session, address } if self.sender == Some(*address) => console.say(format!(
                "the sender at {address} was started anew, as session {session}"
            )),
            E::AnotherSender { session, address } => console.warn(format!(
                "another sender (session {session} at {address}) uses this group and is left alone: \
                 senders should use groups or ports of their own"
            )),
            E::SenderKnown { fingerprint, trusted } => {
                console.say(if *trusted {
                    format!("the sender has the key asked for, {fingerprint}")
                } else {
                    format!(
                        "the sender's key is {fingerprint}, the first met: if it is the right one, \
                         --trust {fingerprint} takes no other next time"
                    )
                });
            }
            E::StrangerMet { fingerprint, address } => {
                self.strangers = true;
                console.warn(format!(
                    "what comes from {address} with the key {fingerprint} is refused: it is not the sender trusted"
                ));
            }
            E::NoRoom => {
                console.warn("the sender serves as many receivers as it can know, and has no room for one more by unicast: asking on");
            }
            E::Redirected { to } => {
                console.say(format!("the sender does not hold it and names another: asking {to}"));
            }
            E::Notice { code: NoticeCode::Evicted, cause: MoveCause::None | MoveCause::Silent, text } => {
                console.warn(format!("the sender has forgotten this receiver, which asks anew: {}", human::plain(text)));
            }
            E::Notice { code: NoticeCode::UseUnicast, text, .. } => {
                console.warn(format!("the sender wants this receiver off its groups: {}", human::plain(text)));
            }
            _ => {}
        }
    }

    /// This receiver's sockets, and the way that data takes to it.
    fn show_way(&mut self, event: &ReceiverEvent) {
        let console = self.console;
        use ReceiverEvent as E;
        match event {
            E::Ready { interface, .. } => {
                let port = self.args.url.port();
                console.say(match self.args.url.place() {
                    Place::Groups(g) => format!("listening to group {}, port {port}, on {interface}", g.first()),
                    Place::Address(ip) => format!("asking {ip}, port {port}, from {interface}"),
                    Place::Name(name) => format!("asking {name}, port {port}, from {interface}"),
                });
                self.interface = Some(interface.clone());
            }
            E::SmallBuffer(b) => console.warn(format!(
                "the socket's receive buffer is {}, not {}: at 1 Gbit/s it is full after {} ms, then packets are lost and \
                 sent again (root can allow more with: sysctl -w net.core.rmem_max={})",
                human::bytes(b.got as u64),
                human::bytes(b.wanted as u64),
                b.bridges(loopcast::units::Rate::from_bps(1_000_000_000)).as_millis(),
                b.wanted
            )),
            E::NoWayBack => console.say("the session is one-way: nothing is sent back to the sender"),
            E::PathChosen(path) => console.say(self.path_words(*path)),
            E::TierChosen { rate, cause } => {
                console.say(format!("on the tier of {rate} from now on: {}", cause.reason()));
            }
            E::ShutOut { address } => console.warn(format!(
                "what {address} sends damages blocks: nothing is taken from there for a minute"
            )),
            E::JoinFailed { group, reason } => {
                console.warn(format!("can't join {group}: {}", human::plain(reason)));
            }
            _ => {}
        }
    }

    /// What becomes of objects.
    fn show_object(&mut self, event: &ReceiverEvent) {
        let console = self.console;
        use ReceiverEvent as E;
        match event {
            E::Opened {
                name, path, bytes, ..
            } => {
                let name = human::plain(name);
                console.say(format!(
                    "receiving {name} ({}) into {}",
                    human::bytes(*bytes),
                    path.display()
                ));
            }
            E::MovedAside {
                name,
                path,
                replaced,
            } => console.say(format!(
                "what an earlier run left of another {} is kept as {}{}",
                human::plain(name),
                path.display(),
                if *replaced {
                    ", instead of an older one"
                } else {
                    ""
                }
            )),
            E::LeftOut { name, path, reason } => console.warn(format!(
                "{}: {}",
                human::plain(&std::path::Path::new(name).join(path).to_string_lossy()),
                human::plain(reason)
            )),
            E::Progress(p) => self.progress(p),
            E::Complete {
                name,
                path,
                bytes,
                took,
                ..
            } => {
                let name = human::plain(name);
                self.bars.remove(&name);
                console.say(format!(
                    "complete and verified: {} ({} in {})",
                    path.display(),
                    human::bytes(*bytes),
                    human::seconds(*took)
                ));
            }
            E::Failed { name, reason } => {
                let name = human::plain(name);
                self.bars.remove(&name);
                console.warn(format!("{name} failed: {}", human::plain(reason)));
            }
            E::Withdrawn { name, reason } => {
                let name = human::plain(name);
                self.bars.remove(&name);
                console.warn(format!(
                    "the sender withdrew {name}: {}",
                    human::plain(reason)
                ));
            }
            E::BadBlock { name, block, from } => console.warn(format!(
                "block {block} of {} came damaged, from {}, and is fetched again",
                human::plain(name),
                texts(from).join(" and ")
            )),
            _ => {}
        }
    }

    fn path_words(&self, path: PathChoice) -> String {
        let limit = human::seconds(self.args.sync_timeout);
        match path {
            PathChoice::Group => "using multicast: the group gets through".to_owned(),
            PathChoice::UnicastAsked => "using unicast, as told".to_owned(),
            PathChoice::UnicastTooSlow => {
                "even the slowest tier is more than comes through: using unicast".to_owned()
            }
            PathChoice::UnicastTold => "using unicast, as the sender says".to_owned(),
            PathChoice::UnicastSilent => format!("no SYNC within {limit}: using unicast"),
            PathChoice::UnicastNoData => {
                format!(
                    "SYNC came, but no full-sized data within {limit} (a narrow MTU?): using unicast"
                )
            }
        }
    }

    fn progress(&mut self, p: &ReceiverProgress) {
        let words = format!(
            "of {}, {}{}, {} lost, {}",
            human::bytes(p.total),
            human::rate(p.rate),
            left(p),
            p.lost,
            human::count(p.naks, "NAK")
        );
        self.bars
            .update(&human::plain(&p.name), p.have, p.total, &words);
    }

    fn verdict(&self, s: &ReceiverSummary) -> End {
        let exit = Exit::from(s.outcome);
        let error = match exit {
            Exit::TimedOut => self.timed_out(s),
            Exit::Failed => self.failed(s),
            Exit::Evicted => self.evicted(s),
            Exit::Interrupted => {
                format!(
                    "interrupted: what is not complete stays as .part in {}, and the same command goes on from there",
                    self.args.into.display()
                )
            }
            _ => String::new(),
        };
        End { exit, error }
    }

    fn timed_out(&self, s: &ReceiverSummary) -> String {
        let waited = human::seconds(self.args.timeout);
        let mut lines = match (&s.gave_up, s.session) {
            (Some(reason), _) => vec![human::plain(reason)],
            (None, None) => vec![format!("no sender was heard within {waited}")],
            (None, Some(_)) => vec!["the sender fell silent".to_owned()],
        };
        if !s.objects.is_empty() {
            lines.push(format!(
                "what came stays in .part files in {}",
                self.args.into.display()
            ));
        }
        let dropped = |reason| s.loss.dropped.iter().any(|&(r, _)| r == reason);
        if s.session.is_none() && dropped(DropReason::Sealed) {
            lines.push("what was heard is sealed with a group key: get the file, and give it with --group-key".to_owned());
            return lines.join("\n");
        }
        if s.session.is_none() && dropped(DropReason::Unsealed) {
            lines.push(
                "what was heard is not sealed with this group key: the sender has another, or none"
                    .to_owned(),
            );
            return lines.join("\n");
        }
        if self.strangers {
            lines.push(
                "if the sender has a new key, take its URL or fingerprint from what `loopcast send` prints there"
                    .to_owned(),
            );
            if s.sender.is_none() {
                return lines.join("\n");
            }
        }
        let others = self
            .interface
            .as_deref()
            .map(advice::other_interfaces)
            .unwrap_or_default();
        lines.extend(advice::nothing_heard(
            &self.args.url,
            self.interface.as_deref(),
            &others,
            self.args.one_way,
        ));
        lines.join("\n")
    }

    fn evicted(&self, s: &ReceiverSummary) -> String {
        let said = s.gave_up.as_deref().map(human::plain).unwrap_or_default();
        let why = match s.evicted {
            Some(MoveCause::AsksTooMuch) => {
                "too much is lost on the way here: try a cable, or another network"
            }
            _ => "use a faster link, or ask for a lower --min-rate there",
        };
        let unicast = match self.args.via {
            args::Path::Multicast => "; it may use unicast: leave out --via multicast",
            _ => "",
        };
        format!(
            "{said}\n{why}{unicast}\nwhat came stays in {}, and the same command goes on from there",
            self.args.into.display()
        )
    }

    fn failed(&self, s: &ReceiverSummary) -> String {
        let made_up = |name: &str| s.objects.iter().any(|o| o.complete && o.name == name);
        let incomplete = s.objects.iter().filter(|o| !o.complete);
        let failed: Vec<_> = incomplete.filter(|o| !made_up(&o.name)).collect();
        let mut lines: Vec<String> = failed
            .iter()
            .map(|o| {
                let why = o
                    .error
                    .as_deref()
                    .unwrap_or("the sender ended before it was complete; start it again");
                format!(
                    "{} is not complete: {}",
                    human::plain(&o.name),
                    human::plain(why)
                )
            })
            .collect();
        let left_out: u64 = s.objects.iter().map(|o| o.left_out).sum();
        if left_out > 0 {
            let paths = human::count(left_out, "path");
            lines.push(format!(
                "{paths} not here as they were sent; all else is (--overwrite replaces what is there)"
            ));
        }
        if let Some(reason) = &s.gave_up {
            lines.insert(0, human::plain(reason));
        }
        if lines.is_empty() {
            lines.push("nothing of what was asked for came; check the name in the URL".to_owned());
        }
        lines.join("\n")
    }

    fn say_figures(&self, s: &ReceiverSummary) {
        if s.session.is_none() {
            return;
        }
        // Versions of one object count once.
        let names = |complete: bool| -> BTreeSet<&str> {
            let counted = s.objects.iter().filter(|o| o.complete || !complete);
            counted.map(|o| o.name.as_str()).collect()
        };
        let heard = s.received.total();
        let lost = s.loss.network + s.loss.overflowed + s.loss.stalled + s.loss.discarded;
        self.console.say(format!(
            "{} of {} complete in {}: {} in {} came, {lost} lost, {} sent, {} suppressed",
            names(true).len(),
            human::count(names(false).len() as u64, "object"),
            human::seconds(s.spent.wall),
            human::bytes(heard.bytes),
            human::count(heard.packets, "packet"),
            human::count(s.naks_sent, "NAK"),
            s.naks_suppressed,
        ));
    }
}

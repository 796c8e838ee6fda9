//! `loopcast send`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use loopcast::config::DEFAULT_RATE_BPS;
use loopcast::driver::{
    DeliveryPath, ReceiverStanding, Sender, SenderEvent, SenderProgress, SenderSummary, SenderTier,
};
use loopcast::units::Rate;
use loopcast::url::GroupRange;
use loopcast::wire::{MoveCause, Outcome};

use crate::advice::{self, Ways};
use crate::archiving::Encrypted;
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

/// How long no receiver may come before we say what may be wrong.
const LONELY: Duration = Duration::from_secs(15);

/// Sends, and says how it went.
pub(crate) fn run(args: args::Send, interrupt: &Interrupt) -> End {
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
    let (summary, end) = match serve(&args, interrupt, &console) {
        Ok(summary) => {
            let end = verdict(&summary);
            say_figures(&console, &args, &summary);
            (Some(summary), end)
        }
        Err(end) => (None, end),
    };
    run::finish(&console, stats, "sender", summary.as_ref(), end)
}

fn serve(
    args: &args::Send,
    interrupt: &Interrupt,
    console: &Console,
) -> Result<SenderSummary, End> {
    let groups = args
        .to
        .to_send_to()
        .map_err(|e| End::error(Exit::Usage, e))?;
    let encrypted = args
        .encrypt
        .then(|| Encrypted::pack(&args.paths, args.key.as_deref(), console, interrupt))
        .transpose()?;
    let paths = encrypted.as_ref().map_or(&args.paths, |e| &e.paths);
    let sender = start(args, paths)?;
    let mut view = View::new(console, args, groups);
    let mut stopping = false;
    loop {
        match sender.events().recv_timeout(TICK) {
            Ok(event) => view.show(&event),
            Err(RecvTimeoutError::Timeout) => view.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if interrupt.came() && !stopping {
            stopping = true;
            view.bars.clear();
            console.say("stopping; once more to end at once");
            sender.stop();
        }
    }
    view.bars.clear();
    sender.join().map_err(|e| End::error(Exit::Environment, e))
}

fn start(args: &args::Send, paths: &[PathBuf]) -> Result<Sender, End> {
    let mut builder = Sender::builder()
        .to(args.to.clone())
        .wait_for(args.wait_for)
        .stay(args.stay)
        .ttl(args.ttl)
        .symbol_size(args.symbol_size)
        .filter(args.selection.0.clone())
        .owner(args.owner)
        .xattrs(args.xattrs)
        .adapt(args.adapt.into())
        .parity(args.parity)
        .feedback(args.feedback.into())
        .offload(!args.output.no_offload);
    if args.one_way {
        builder = builder.one_way(args.cycles);
    }
    if let args::Auto::Given(rate) = args.rate {
        builder = builder.rate(rate);
    }
    if let args::Auto::Given(tiers) = &args.tiers {
        builder = builder.tiers(tiers.0.clone());
    }
    if let Some(rate) = args.min_rate {
        builder = builder.min_rate(rate);
    }
    if let Some(interface) = &args.interface {
        builder = builder.interface(interface);
    }
    if let Some(path) = &args.group_key {
        builder = builder.group_key(read_group_key(path)?);
    }
    if let Some(folder) = &args.hash_cache {
        builder = builder.hash_cache(folder);
    }
    let builder = paths.iter().fold(builder, |b, path| b.offer_path(path));
    Ok(builder.start()?)
}

fn verdict(s: &SenderSummary) -> End {
    let exit = Exit::from(s.outcome);
    match exit {
        Exit::Failed => {}
        Exit::Interrupted => {
            return End::error(exit, "interrupted: receivers were told that it is over");
        }
        _ => return End::quiet(exit),
    }
    let lost = s
        .receivers
        .iter()
        .filter(|r| r.outcome != Some(Outcome::Complete))
        .count();
    let mut parts = Vec::new();
    if !s.not_offered.is_empty() {
        parts.push(format!(
            "{} could not be offered",
            human::count(s.not_offered.len() as u64, "file")
        ));
    }
    if lost > 0 {
        parts.push(format!(
            "{} did not say that it has everything; start it again to get the rest",
            human::count(lost as u64, "receiver")
        ));
    }
    let withdrawn = s.objects.iter().filter(|o| o.withdrawn.is_some()).count();
    if withdrawn > 0 {
        parts.push(format!(
            "{} changed on the way; leave files alone while they are sent",
            human::count(withdrawn as u64, "file")
        ));
    }
    let left_out: u64 = s.objects.iter().map(|o| o.left_out).sum();
    if left_out > 0 {
        parts.push(format!(
            "{} could not be sent; all else was (--exclude leaves out what is meant to be)",
            human::count(left_out, "path")
        ));
    }
    End::error(
        exit,
        if parts.is_empty() {
            "not everything was sent".to_owned()
        } else {
            parts.join(", and ")
        },
    )
}

fn say_figures(console: &Console, args: &args::Send, s: &SenderSummary) {
    let content: u64 = s.objects.iter().map(|o| o.bytes).sum();
    let sent = s.sent.total().bytes;
    let over = if content > 0 {
        format!(" ({:.3} x the content)", sent as f64 / content as f64)
    } else {
        String::new()
    };
    let done = s
        .receivers
        .iter()
        .filter(|r| r.outcome == Some(Outcome::Complete))
        .count();
    if args.one_way {
        let cycles = s.objects.iter().map(|o| u64::from(o.cycles)).max();
        return console.say(format!(
            "sent {}{over} in {}, {}, without a way back: who has it all is not known here",
            human::bytes(sent),
            human::seconds(s.spent.wall),
            human::count(cycles.unwrap_or(0), "cycle"),
        ));
    }
    console.say(format!(
        "sent {}{over} in {} to {}, {done} of them complete; {} for {}",
        human::bytes(sent),
        human::seconds(s.spent.wall),
        human::count(s.receivers_known, "receiver"),
        human::count(s.repairs, "repair"),
        human::count(s.naks_received, "NAK"),
    ));
}

/// What is shown of a sender.
struct View<'a> {
    console: &'a Console,
    args: &'a args::Send,
    groups: GroupRange,
    bars: Bars<'a>,
    interface: String,
    ways: Option<Ways>,
    hashing: BTreeSet<String>,
    /// The object that began to run last.
    sending: String,
    came: u32,
    /// It was said that receivers are waited for, since the last file was offered.
    waiting_told: bool,
    lonely_since: Instant,
    advised: bool,
}

impl<'a> View<'a> {
    fn new(console: &'a Console, args: &'a args::Send, groups: GroupRange) -> View<'a> {
        View {
            console,
            args,
            groups,
            bars: Bars::new(console),
            interface: String::new(),
            ways: None,
            hashing: BTreeSet::new(),
            sending: String::new(),
            came: 0,
            waiting_told: true,
            lonely_since: console.start(),
            advised: false,
        }
    }

    fn show(&mut self, event: &SenderEvent) {
        self.console.event(event);
        self.show_session(event);
        self.show_object(event);
        self.show_receiver(event);
    }

    /// The sender itself: its key, its sockets, its figures.
    fn show_session(&mut self, event: &SenderEvent) {
        use SenderEvent as E;
        match event {
            E::KeyMade { path } => self.console.say(format!(
                "made this sender's key in {}",
                human::plain(&path.to_string_lossy())
            )),
            E::KeyNotKept { reason } => self.console.warn(format!(
                "this sender's key can't be kept, so its fingerprint is another one at the next start: {}",
                human::plain(reason)
            )),
            E::Listening { interface, url, host_url, .. } => {
                let (one_way, sealed) = (self.args.one_way, self.args.group_key.is_some());
                let ways = Ways::new(url, host_url.as_deref(), one_way, sealed);
                self.listening(interface, ways);
            }
            E::SmallBuffer(b) => self.console.warn(format!(
                "the socket's receive buffer is {}, not {}: answers may be lost with very many receivers \
                 (root can allow more with: sysctl -w net.core.rmem_max={})",
                human::bytes(b.got as u64),
                human::bytes(b.wanted as u64),
                b.wanted
            )),
            E::Progress(p) => self.progress(p),
            E::AnotherSender { session, address } => self.console.warn(format!(
                "another sender (session {session} at {address}) uses this group: choose another group or port with --to"
            )),
            E::AddressSkipped { address, reason } => {
                self.console.warn(format!("requests to {address} are not answered: {reason}"));
            }
            E::CannotSend { to, reason } => {
                self.console.warn(format!("packets to {to} don't leave: {reason}"));
            }
            E::TooLarge { size } => self.console.warn(format!(
                "packets of {size} bytes don't fit the interface, so none leaves: use a smaller --symbol-size"
            )),
            _ => {}
        }
    }

    /// What becomes of files and objects.
    fn show_object(&mut self, event: &SenderEvent) {
        use SenderEvent as E;
        match event {
            E::Hashing { name, done, total } => {
                let key = format!("hashing {}", human::plain(name));
                let words = format!("of {}", human::bytes(*total));
                self.bars.update(&key, *done, *total, &words);
                self.hashing.insert(key);
            }
            E::Offered {
                name,
                bytes,
                cached,
                again,
                ..
            } => self.offered(name, *bytes, *cached, *again),
            E::OfferFailed { path, reason } => {
                self.console
                    .warn(format!("{} is not offered: {reason}", path.display()));
            }
            E::PathSkipped { path, reason } => self.console.warn(format!(
                "{} is left out: {}",
                human::plain(&path.to_string_lossy()),
                human::plain(reason)
            )),
            E::Withdrawn { name, reason } => {
                self.console
                    .warn(format!("{} is withdrawn: {reason}", human::plain(name)));
            }
            E::Started { name, group } => {
                self.sending.clone_from(name);
                self.console
                    .say(format!("sending {} to {group}", human::plain(name)));
            }
            _ => {}
        }
    }

    /// Receivers that come, move and go.
    fn show_receiver(&mut self, event: &SenderEvent) {
        use SenderEvent as E;
        match event {
            E::Joined {
                receiver,
                address,
                path,
            } => {
                self.came += 1;
                self.console.say(format!(
                    "receiver {receiver} at {address} wants it by {}{}",
                    path.name(),
                    self.missing()
                ));
            }
            E::Returned { receiver } => self
                .console
                .say(format!("receiver {receiver} is here again")),
            E::Moved {
                receiver,
                path,
                tier,
                cause,
            } => {
                let to = match path {
                    DeliveryPath::Multicast => format!("the tier of {tier}"),
                    DeliveryPath::Unicast => "unicast".to_owned(),
                };
                let why = match cause {
                    MoveCause::None => String::new(),
                    cause => format!(": {}", cause.reason()),
                };
                self.console
                    .say(format!("receiver {receiver} is now served by {to}{why}"));
            }
            E::Done {
                receiver,
                name: None,
                outcome,
            } => {
                let what = match outcome {
                    Outcome::Complete => "has everything",
                    Outcome::Failed => "could not keep it",
                    Outcome::Left => "was told to stop",
                };
                self.console.say(format!("receiver {receiver} {what}"));
            }
            E::Gone {
                receiver, reason, ..
            } => {
                self.console.warn(format!(
                    "receiver {receiver} is no longer waited for: {reason}"
                ));
            }
            _ => {}
        }
    }

    fn listening(&mut self, interface: &str, ways: Ways) {
        self.interface = interface.to_owned();
        let own = advice::addresses_of(interface);
        let shown: Vec<String> = own.iter().map(|ip| ip.to_string()).collect();
        let groups = match self.groups.len() {
            n if n == 1 || self.args.one_way => format!("group {}", self.groups.first()),
            n => format!("{n} groups from {}", self.groups.first()),
        };
        self.console.say(format!(
            "sending to {groups}, port {}, on {interface} ({}), {}",
            self.args.to.port(),
            shown.join(", "),
            match self.args.rate {
                args::Auto::Given(rate) => format!("at most {rate}"),
                args::Auto::Auto if self.args.one_way => match &self.args.tiers {
                    args::Auto::Given(_) => "each tier at its rate".to_owned(),
                    args::Auto::Auto => format!("at {}", Rate::from_bps(DEFAULT_RATE_BPS)),
                },
                args::Auto::Auto => "as fast as receivers take it".to_owned(),
            }
        ));
        let lines = if self.args.one_way {
            ways.one_way_lines()
        } else {
            ways.lines()
        };
        lines.iter().for_each(|line| self.console.say(line));
        self.ways = Some(ways);
    }

    fn offered(&mut self, name: &str, bytes: u64, cached: bool, again: bool) {
        let name = human::plain(name);
        let key = format!("hashing {name}");
        self.hashing.remove(&key);
        self.bars.remove(&key);
        let how = match (again, cached) {
            (true, _) => ", changed and offered anew",
            (_, true) => ", hashes remembered",
            _ => "",
        };
        self.console
            .say(format!("offering {name} ({}{how})", human::bytes(bytes)));
        self.lonely_since = Instant::now();
        self.waiting_told = false;
    }

    /// How many are still waited for, if any.
    fn missing(&self) -> String {
        match self.args.wait_for.saturating_sub(self.came) {
            0 => String::new(),
            n => format!("; waiting for {n} more"),
        }
    }

    fn progress(&mut self, p: &SenderProgress) {
        if p.sent_bytes == 0 || p.receivers == 0 && !self.args.one_way {
            return;
        }
        let (bytes, rate) = (human::bytes(p.sent_bytes), human::rate(p.rate));
        let sending = format!("{}, {bytes} at {rate}", human::plain(&self.sending));
        if self.args.one_way {
            return self.bars.status("sending", &sending);
        }
        let about = if p.unlisted > 0 { "about " } else { "" };
        let words = format!(
            "{sending}, {about}{}, {} done, {} for {}",
            human::count(u64::from(p.receivers), "receiver"),
            p.done,
            human::count(p.repairs, "repair"),
            human::count(p.naks, "NAK"),
        );
        self.bars.status("sending", &words);
        let tiers = p.tiers.iter().filter(|t| t.receivers > 0);
        let mut details: Vec<_> = tiers.map(tier_words).collect();
        details.extend(p.slowest.iter().map(receiver_words));
        let more = (p.receivers as usize).saturating_sub(p.slowest.len());
        if more > 0 {
            details.push((
                "  more".to_owned(),
                format!("{more} receivers that have less before them"),
            ));
        }
        self.bars.details(&details);
    }

    /// Nothing happened for a moment.
    fn tick(&mut self) {
        if self.args.one_way || self.came > 0 || !self.hashing.is_empty() {
            return;
        }
        // Not with every file: what is offered comes at once, as far as it is small.
        if !self.waiting_told {
            self.waiting_told = true;
            self.console.say(format!(
                "waiting for {}",
                human::count(u64::from(self.args.wait_for.max(1)), "receiver")
            ));
        }
        if self.advised || self.lonely_since.elapsed() < LONELY {
            return;
        }
        let Some(ways) = &self.ways else { return };
        self.advised = true;
        let others = advice::other_interfaces(&self.interface);
        let port = self.args.to.port();
        for line in advice::nobody_came(LONELY.as_secs(), port, &self.interface, &others, ways) {
            self.console.say(line);
        }
    }
}

fn tier_words(t: &SenderTier) -> (String, String) {
    let words = format!(
        "at {}, {}, {}, {}",
        human::rate(t.rate),
        human::count(u64::from(t.receivers), "receiver"),
        there(t.progress, t.remaining),
        lost([t.lost, t.overflowed, t.stalled], t.packets),
    );
    (format!("  tier {}", t.tier), words)
}

fn receiver_words(r: &ReceiverStanding) -> (String, String) {
    let path = match r.path {
        DeliveryPath::Multicast => format!("tier {}", r.tier),
        DeliveryPath::Unicast => "unicast".to_owned(),
    };
    let why = match r.why {
        MoveCause::None => String::new(),
        why => format!(": {}", why.reason()),
    };
    let words = format!(
        "{} at {}, {}, {path}{why}",
        there(r.progress, r.remaining),
        human::rate(r.throughput),
        lost([r.lost, r.overflowed, r.stalled], r.packets),
    );
    (format!("  {}", r.id), words)
}

/// How far one has come, and how long the rest takes, if one can tell.
fn there(progress: f64, remaining: Option<Duration>) -> String {
    let left = remaining.map_or(String::new(), |d| format!(", {} left", human::wait(d)));
    format!("{:.0} %{left}", (progress * 100.0).floor())
}

/// What the network, sockets' buffers and disks lost, of what came and they lost.
fn lost(by: [u64; 3], came: u64) -> String {
    let [network, buffer, disk] = by;
    let all = came.saturating_add(network).saturating_add(buffer).max(1);
    let share = |n: u64| human::percent(n as f64 / all as f64);
    let mut words = format!("{} lost", share(network));
    for (n, place) in [(buffer, "in socket buffers"), (disk, "for slow disks")] {
        if n > 0 {
            words += &format!(", {} {place}", share(n));
        }
    }
    words
}

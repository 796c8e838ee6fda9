//! Whole senders and receivers over real sockets on the loopback, with files on disk.
//!
//! Multicast on the loopback needs no rights, but a machine may forbid it; then these tests say so
//! and do nothing.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod loopback_support;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loopback_support::{Place, finish, key, multicast_works, random_file, wait_for};
use loopcast::driver::{FeedbackMode, ReceiverEvent, RunOutcome, SenderEvent, Via};
use loopcast::engine::PathChoice;

#[test]
fn three_receivers_get_it_and_one_loses_packets() {
    let Some(place) = Place::new("three", 48_010) else {
        return;
    };
    let file = random_file(&place.from(), "film.bin", 8_000_000);
    let sender = place
        .sender()
        .offer_path(&file)
        .wait_for(3)
        .start()
        .unwrap();
    let receivers: Vec<_> = (0..3)
        .map(|n| {
            let drop = if n == 2 { 0.05 } else { 0.0 };
            place.receiver(n).drop_rate(drop).seed(5).start().unwrap()
        })
        .collect();
    for (n, receiver) in receivers.into_iter().enumerate() {
        let summary = finish(receiver);
        assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
        assert!(!summary.path.unwrap().is_unicast());
        place.assert_same(n, "film.bin", &file);
        if n == 2 {
            assert!(
                summary.loss.discarded > 100 && summary.naks_sent > 0,
                "{summary:?}"
            );
        }
    }
    let summary = sender.join().unwrap();
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.receivers.len(), 3);
    // Once for all, and little more than the losses again.
    let sent = summary.sent.total().bytes as f64 / 8e6;
    assert!(sent < 1.35, "{sent} times the file: {summary:?}");
}

#[test]
fn a_late_joiner_gets_it_too() {
    let Some(place) = Place::new("late", 48_020) else {
        return;
    };
    let file = random_file(&place.from(), "late.bin", 4_000_000);
    let rate = "30M".parse().unwrap();
    let sender = place.sender().rate(rate).offer_path(&file).start().unwrap();
    let first = place.receiver(0).start().unwrap();
    // Half way.
    let half = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Progress(p) if p.have > p.total / 2);
    assert!(wait_for(first.events(), half), "no progress");
    let joined = Instant::now();
    let second = place.receiver(1).start().unwrap();
    let summary = finish(second);
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    let took = joined.elapsed();
    assert_eq!(finish(first).outcome, RunOutcome::Complete);
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Complete);
    place.assert_same(0, "late.bin", &file);
    place.assert_same(1, "late.bin", &file);
    // A cycle takes 1.1 s; this machine may be busy.
    assert!(
        took < Duration::from_millis(2_100),
        "{took:?} after joining"
    );
}

#[test]
fn unicast_alone_works() {
    let Some(place) = Place::new("unicast", 48_030) else {
        return;
    };
    let file = random_file(&place.from(), "one.bin", 3_000_000);
    let sender = place.sender().offer_path(&file).start().unwrap();
    let summary = finish(place.receiver(0).via(Via::Unicast).start().unwrap());
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert!(summary.path.unwrap().is_unicast());
    place.assert_same(0, "one.bin", &file);
    let sent = sender.join().unwrap();
    assert_eq!(sent.outcome, RunOutcome::Complete, "{sent:?}");
}

#[test]
fn a_receiver_that_hears_no_group_finds_out_by_itself() {
    let Some(place) = Place::new("deaf", 48_040) else {
        return;
    };
    let file = random_file(&place.from(), "deaf.bin", 2_000_000);
    let sender = place.sender().offer_path(&file).start().unwrap();
    let deaf = place
        .receiver(0)
        .drop_group(true)
        .sync_timeout(Duration::from_millis(300));
    let summary = finish(deaf.start().unwrap());
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert!(summary.path.unwrap().is_unicast());
    place.assert_same(0, "deaf.bin", &file);
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Complete);
}

#[test]
fn many_small_files_come_under_their_names() {
    let Some(place) = Place::new("many", 48_050) else {
        return;
    };
    let folder = place.from().join("set");
    let mut names = Vec::new();
    for n in 0..40usize {
        let name = if n % 2 == 0 {
            format!("{n}.bin")
        } else {
            format!("deep/er/{n}.bin")
        };
        random_file(&folder, &name, n * 997);
        names.push(name);
    }
    // Two more of the same bytes as others.
    for name in ["again/0.bin", "again/3.bin"] {
        random_file(&folder, name, if name.contains('0') { 0 } else { 3 * 997 });
        names.push(name.to_owned());
    }
    // All is done in a fifth of a second, perhaps before the second one listens.
    let sender = place.sender().offer_path(&folder).wait_for(2);
    let sender = sender.start().unwrap();
    let receivers = [
        place.receiver(0).start().unwrap(),
        place.receiver(1).start().unwrap(),
    ];
    for (n, receiver) in receivers.into_iter().enumerate() {
        let summary = finish(receiver);
        assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
        assert_eq!(summary.objects.len(), 1);
        for name in &names {
            place.assert_same(n, &format!("set/{name}"), &folder.join(name));
        }
    }
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Complete);
}

#[test]
fn a_host_url_and_a_name_lead_to_one_object() {
    let Some(place) = Place::new("named", 48_060) else {
        return;
    };
    let wanted = random_file(&place.from(), "wanted.bin", 500_000);
    let other = random_file(&place.from(), "other.bin", 500_000);
    let sender = place
        .sender()
        .offer_path(&other)
        .offer_path(&wanted)
        .start()
        .unwrap();
    let url = format!("loopcast://127.0.0.1:{}/wanted.bin", place.port());
    let summary = finish(
        place
            .receiver(0)
            .from(url.parse().unwrap())
            .start()
            .unwrap(),
    );
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.objects.len(), 1);
    place.assert_same(0, "wanted.bin", &wanted);
    sender.stop();
    sender.join().unwrap();
}

#[test]
fn without_a_sender_it_says_so_in_time() {
    let Some(place) = Place::new("alone", 48_070) else {
        return;
    };
    let receiver = place
        .receiver(0)
        .timeout(Duration::from_millis(400))
        .start()
        .unwrap();
    let summary = finish(receiver);
    assert_eq!(summary.outcome, RunOutcome::TimedOut);
    assert!(summary.gave_up.is_some_and(|text| !text.is_empty()));
}

#[test]
fn both_can_be_stopped_at_any_moment() {
    let Some(place) = Place::new("stop", 48_080) else {
        return;
    };
    let file = random_file(&place.from(), "long.bin", 20_000_000);
    let rate = "10M".parse().unwrap();
    let sender = place.sender().rate(rate).offer_path(&file).start().unwrap();
    let receiver = place.receiver(0).start().unwrap();
    let progress = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Progress(p) if p.verified > 0);
    assert!(wait_for(receiver.events(), progress));
    let began = Instant::now();
    receiver.stopper().stop();
    assert_eq!(finish(receiver).outcome, RunOutcome::Stopped);
    // What has come stays for another time.
    assert!(place.folder_of(0).join("long.bin.part").exists());
    sender.stop();
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Stopped);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // And dropped handles leave no port behind.
    drop(place.sender().offer_path(&file).start().unwrap());
    place.sender().offer_path(&file).start().unwrap();
}

#[test]
fn a_file_that_changes_is_withdrawn_and_offered_anew() {
    let Some(place) = Place::new("change", 48_090) else {
        return;
    };
    let file = random_file(&place.from(), "moving.bin", 3_000_000);
    let rate = "20M".parse().unwrap();
    let sender = place.sender().rate(rate).offer_path(&file).start().unwrap();
    let receiver = place.receiver(0).start().unwrap();
    let progress = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Progress(p) if p.have > 100_000);
    assert!(wait_for(receiver.events(), progress));
    random_file(&place.from(), "moving.bin", 2_000_001);
    let withdrawn = |e: &SenderEvent| matches!(e, SenderEvent::Withdrawn { .. });
    assert!(wait_for(sender.events(), withdrawn), "not noticed");
    let again = |e: &SenderEvent| matches!(e, SenderEvent::Offered { again: true, .. });
    assert!(wait_for(sender.events(), again), "not offered anew");
    let summary = finish(receiver);
    // Never a mixture: what is there under the name is the new version, whole, or nothing.
    if place.folder_of(0).join("moving.bin").exists() {
        place.assert_same(0, "moving.bin", &file);
    }
    assert!(
        summary.objects.iter().any(|o| o.error.is_some()),
        "{summary:?}"
    );
    sender.stop();
    sender.join().unwrap();
}

#[test]
fn a_port_in_use_is_an_error_with_its_number() {
    if !multicast_works("port") {
        return;
    }
    let Some(place) = Place::new("port", 48_100) else {
        return;
    };
    let file = random_file(&place.from(), "x.bin", 10);
    let _first = place.sender().offer_path(&file).start().unwrap();
    let error = place
        .sender()
        .offer_path(&file)
        .start()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("48100") && error.contains("in use"),
        "{error}"
    );
}

#[test]
fn the_key_asked_for_is_the_only_one_taken() {
    let Some(place) = Place::new("trust", 48_120) else {
        return;
    };
    let file = random_file(&place.from(), "signed.bin", 300_000);
    let (mine, other) = (key(1).public(), key(2).public().fingerprint());
    let sender = place.sender().key(key(1)).stay(true).offer_path(&file);
    let sender = sender.start().unwrap();
    let refuses = place
        .receiver(0)
        .trust(other)
        .timeout(Duration::from_secs(1));
    let summary = finish(refuses.start().unwrap());
    assert_eq!(summary.outcome, RunOutcome::TimedOut, "{summary:?}");
    assert!(summary.objects.is_empty() && summary.sender.is_none());
    assert!(
        summary
            .gave_up
            .unwrap()
            .contains(&mine.fingerprint().to_string())
    );
    let takes = place.receiver(1).trust(mine.fingerprint()).start().unwrap();
    let summary = finish(takes);
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.sender, Some(mine.fingerprint()));
    place.assert_same(1, "signed.bin", &file);
    sender.stop();
    assert_eq!(sender.join().unwrap().fingerprint, mine.fingerprint());
}

#[test]
fn naks_on_a_group_are_heard_when_one_of_its_objects_is_withdrawn() {
    let Some(place) = Place::new("shared feedback", 48_170) else {
        return;
    };
    let file = random_file(&place.from(), "a.bin", 3_000_000);
    let other = random_file(&place.from(), "b.bin", 3_000_000);
    let sender = place.sender().rate("20M".parse().unwrap());
    let sender = sender.feedback(FeedbackMode::Group);
    let sender = sender.offer_path(&file).offer_path(&other).start().unwrap();
    let offered = |e: &SenderEvent| matches!(e, SenderEvent::Offered { .. });
    assert!(wait_for(sender.events(), offered) && wait_for(sender.events(), offered));
    let receiver = place.receiver(0).drop_rate(0.1).seed(3).start().unwrap();
    let progress = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Progress(p) if p.have > 100_000);
    assert!(wait_for(receiver.events(), progress));
    // Not there any more when it would be offered anew, which would open the socket again.
    random_file(&place.from(), "a.bin", 10);
    fs::remove_file(&file).unwrap();
    let withdrawn = |e: &SenderEvent| matches!(e, SenderEvent::Withdrawn { .. });
    assert!(wait_for(sender.events(), withdrawn), "not noticed");
    let summary = finish(receiver);
    assert_eq!(summary.outcome, RunOutcome::Partial, "{summary:?}");
    place.assert_same(0, "b.bin", &other);
    sender.join().unwrap();
}

#[test]
fn one_of_several_equal_files_that_changes_is_offered_anew_once() {
    let Some(place) = Place::new("equal", 48_180) else {
        return;
    };
    let folder = place.from();
    let files = ["a", "b", "c"].map(|name| random_file(&folder, name, 3_000_000));
    let sender = place.sender().rate("20M".parse().unwrap());
    let sender = files.iter().fold(sender, |s, file| s.offer_path(file));
    let sender = sender.start().unwrap();
    let offered = |e: &SenderEvent| matches!(e, SenderEvent::Offered { .. });
    let mut cut = Vec::new();
    while cut.len() < 3 {
        let event = sender.events().recv().unwrap();
        if let SenderEvent::Offered { name, .. } = event {
            cut.push(name);
        }
    }
    let receiver = place.receiver(0).start().unwrap();
    let progress = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Progress(p) if p.have > 100_000);
    assert!(wait_for(receiver.events(), progress));
    let second = files.iter().find(|f| f.ends_with(&cut[1])).unwrap();
    let written = fs::File::options().write(true).open(second).unwrap();
    written.set_modified(SystemTime::now()).unwrap();
    let withdrawn = |e: &SenderEvent| matches!(e, SenderEvent::Withdrawn { .. });
    assert!(wait_for(sender.events(), withdrawn), "not noticed");
    assert!(wait_for(sender.events(), offered), "not offered anew");
    finish(receiver);
    sender.stop();
    sender.join().unwrap();
}

#[test]
fn a_feedback_group_that_cannot_be_joined_is_told_of_and_done_without() {
    let Some(place) = Place::new("no feedback", 48_190) else {
        return;
    };
    let file = random_file(&place.from(), "film.bin", 4_000_000);
    // Somebody else has its port, on the groups of both tiers.
    let port = place.port() + 1;
    let taken = [2, 3].map(|n| UdpSocket::bind((Ipv4Addr::new(239, 192, 48, n), port)).unwrap());
    let tiers = ["20M", "10M"].map(|rate| rate.parse().unwrap()).to_vec();
    let sender = place.sender().tiers(tiers).feedback(FeedbackMode::Group);
    let sender = sender.offer_path(&file).start().unwrap();
    let receiver = place.receiver(0).start().unwrap();
    let events = receiver.events().clone();
    let told = thread::spawn(move || {
        let failed = events.iter().filter_map(|e| match e {
            ReceiverEvent::JoinFailed { group, .. } => Some(group),
            _ => None,
        });
        failed.collect::<Vec<_>>()
    });
    let summary = receiver.join().unwrap();
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.path, Some(PathChoice::Group), "{summary:?}");
    let told = told.join().unwrap();
    let of = |n: usize| told.iter().filter(|g| **g == told[n]).count();
    assert!(!told.is_empty(), "it was joined");
    assert!(told.iter().all(|group| group.port() == port), "{told:?}");
    assert!((0..told.len()).all(|n| of(n) == 1), "{told:?}");
    drop(taken);
    sender.join().unwrap();
}

#[test]
fn what_is_left_of_another_file_is_kept_and_told_of() {
    let Some(place) = Place::new("aside", 48_200) else {
        return;
    };
    let file = random_file(&place.from(), "film.bin", 100_000);
    fs::create_dir_all(place.folder_of(0)).unwrap();
    let left = |name: &str| place.folder_of(0).join(name);
    fs::write(left("film.bin.part"), "newer").unwrap();
    fs::write(left("film.bin.part.old"), "older").unwrap();
    let sender = place.sender().offer_path(&file).start().unwrap();
    let receiver = place.receiver(0).start().unwrap();
    let aside = left("film.bin.part.old");
    let told = |e: &ReceiverEvent| matches!(e, ReceiverEvent::MovedAside { path, replaced: true, .. } if *path == aside);
    assert!(wait_for(receiver.events(), told), "not told");
    assert_eq!(finish(receiver).outcome, RunOutcome::Complete);
    place.assert_same(0, "film.bin", &file);
    assert_eq!(fs::read(&aside).unwrap(), b"newer");
    sender.join().unwrap();
}

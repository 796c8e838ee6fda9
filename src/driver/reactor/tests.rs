use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::driver::outgoing::Outgoing;
use crate::driver::socket::{SendFault, Socket};
use crate::engine::{Burst, Link};
use crate::time::Time;

/// Sends a number to a peer, and back what is one more, up to an end.
struct Counting {
    /// Whom it sends to; answers go back where the number came from.
    next: Option<(SocketAddr, u8)>,
    end: u8,
    heard: Vec<(u8, u8)>,
    ending: Ending,
}

impl Engine for Counting {
    /// What it calls its socket.
    type By = u8;
    type Remains = Vec<(u8, u8)>;

    const BURSTS_A_ROUND: usize = 4;
    const ANSWERS_AT_ONCE: bool = false;

    fn socket_of(link: Link) -> usize {
        usize::from(link.0)
    }

    fn on_datagram(&mut self, _: Time, from: SocketAddr, by: u8, datagram: &mut [u8]) {
        self.heard.push((by, datagram[0]));
        if datagram[0] < self.end {
            self.next = Some((from, datagram[0] + 1));
        }
    }

    fn on_batch(&mut self, _: usize, _: u64) {}

    fn take_message(&mut self, _: Time) -> bool {
        false
    }

    fn on_time(&mut self, _: Time, _: &Sockets<u8>) {}

    fn next(&self) -> Option<Time> {
        None
    }

    fn work(&mut self, _: Time, _: &mut Sockets<u8>) {
        if self.heard.last().is_some_and(|(_, n)| *n + 1 >= self.end) {
            self.ending.finish();
        }
    }

    fn load(&mut self, _: Time, burst: &mut Burst, out: &mut Outgoing) -> bool {
        let Some((to, number)) = self.next.take() else {
            return false;
        };
        (burst.to, burst.control) = (to, vec![number]);
        out.load(burst, &[], 0, None);
        true
    }

    fn on_unsent(&mut self, to: SocketAddr, _: usize, fault: SendFault) {
        panic!("nothing goes to {to}: {fault:?}");
    }

    fn on_round(&mut self, _: Time, _: bool, _: &Sockets<u8>) {}

    fn figures(&mut self, _: Time, _: &Sockets<u8>) {}

    fn stop(&mut self, now: Time) {
        self.ending.begin(now + Duration::from_millis(5), true);
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }

    fn close(self, sockets: &Sockets<u8>) -> Vec<(u8, u8)> {
        assert_eq!(sockets.buffers().count(), 1);
        self.heard
    }
}

fn engine(next: Option<(SocketAddr, u8)>, end: u8) -> Counting {
    Counting {
        next,
        end,
        heard: Vec::new(),
        ending: Ending::default(),
    }
}

fn socket() -> Socket {
    Socket::at_own_address([127, 0, 0, 1].into(), 0, 1).unwrap()
}

#[test]
fn two_engines_share_a_thread() {
    let mut reactor = Reactor::new(Clock::new()).unwrap();
    let (first, second) = (socket(), socket());
    let to = second.local();
    for (by, socket, next) in [(1, first, Some((to, 1))), (2, second, None)] {
        let mut sockets = reactor.sockets().unwrap();
        assert_eq!(sockets.add(socket, by, Look::WhenReady).unwrap(), 0);
        let control = reactor.control();
        reactor.add(engine(next, 100), sockets, control);
    }
    let mut heard = reactor.run().unwrap();
    heard.sort();
    let numbers = |by, from| {
        (from..=100u8)
            .step_by(2)
            .map(|n| (by, n))
            .collect::<Vec<_>>()
    };
    assert_eq!(heard, [numbers(1, 2), numbers(2, 1)]);
}

#[test]
fn each_engine_is_told_to_end_by_itself() {
    let mut reactor = Reactor::new(Clock::new()).unwrap();
    let mut controls = Vec::new();
    for by in 0..3 {
        let mut sockets = reactor.sockets().unwrap();
        sockets.add(socket(), by, Look::WhenReady).unwrap();
        controls.push(reactor.control());
        reactor.add(engine(None, 1), sockets, controls[usize::from(by)].clone());
    }
    let running = std::thread::spawn(|| reactor.run().unwrap().len());
    controls[0].abort();
    controls[1].stop();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!running.is_finished());
    controls[2].stop();
    assert_eq!(running.join().unwrap(), 3);
}

#[test]
fn numbers_of_sockets_that_are_gone_are_given_again() {
    let mut reactor = Reactor::<Counting>::new(Clock::new()).unwrap();
    let mut sockets = reactor.sockets().unwrap();
    for by in 0..3 {
        let number = sockets.add(socket(), by, Look::AtTimes).unwrap();
        assert_eq!(number, usize::from(by));
    }
    let gone = sockets.remove(1).unwrap();
    assert!(sockets.remove(1).is_none() && sockets.get(1).is_none());
    let mut ready = sockets.take_ready();
    ready.sort_unstable();
    assert_eq!(ready, [0, 2]);
    assert_eq!(sockets.add(gone, 7, Look::AtTimes).unwrap(), 1);
    assert_eq!((sockets.by(1), sockets.buffers().count()), (Some(7), 3));
}

//! What a reactor asks of an engine and of what its driver keeps around it.

use std::net::SocketAddr;

use super::ending::Ending;
use super::sockets::Sockets;
use crate::driver::outgoing::Outgoing;
use crate::driver::socket::SendFault;
use crate::engine::{Burst, Link};
use crate::time::Time;

/// An engine with its worker threads, as a reactor drives it.
///
/// The reactor gives it what happens, one thing at a time, and lets it [`work`](Engine::work) after
/// each.
pub(crate) trait Engine {
    /// What datagrams are told apart by that come on different sockets.
    type By: Copy;
    /// What is left of it when it has ended.
    type Remains;

    /// Bursts sent before sockets are looked at again.
    const BURSTS_A_ROUND: usize;
    /// What a datagram calls for leaves before the next one is looked at.
    const ANSWERS_AT_ONCE: bool;

    /// The number of the socket that a link's packets leave by.
    fn socket_of(link: Link) -> usize;

    /// Takes a datagram, which it may open in place.
    fn on_datagram(&mut self, now: Time, from: SocketAddr, by: Self::By, datagram: &mut [u8]);

    /// So many datagrams came in one call, in `runs` that the socket counts as one.
    fn on_batch(&mut self, runs: usize, datagrams: u64);

    /// Takes one command of the program or result of a worker; false if there is none.
    fn take_message(&mut self, now: Time) -> bool;

    /// Something may be due.
    fn on_time(&mut self, now: Time, sockets: &Sockets<Self::By>);

    /// The next moment at which something is due.
    fn next(&self) -> Option<Time>;

    /// Does all that the engine asks for beside sending.
    fn work(&mut self, now: Time, sockets: &mut Sockets<Self::By>);

    /// Puts what is to be sent next into `out`, by way of `burst`; false if there is nothing.
    fn load(&mut self, now: Time, burst: &mut Burst, out: &mut Outgoing) -> bool;

    /// Datagrams of `size` bytes could not leave and are lost.
    fn on_unsent(&mut self, to: SocketAddr, size: usize, fault: SendFault);

    /// Sockets have been looked at; with `more`, something waits in them.
    fn on_round(&mut self, now: Time, more: bool, sockets: &Sockets<Self::By>);

    /// Tells the program its figures.
    fn figures(&mut self, now: Time, sockets: &Sockets<Self::By>);

    /// Begins to say farewell, because the program wants it to.
    fn stop(&mut self, now: Time);

    /// How far it has come to its end.
    fn ending(&self) -> &Ending;

    /// Tells the program that it has ended.
    fn close(self, sockets: &Sockets<Self::By>) -> Self::Remains;
}

//! Nothing is allocated for a packet: twice the file takes hardly more allocations.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![allow(unsafe_code, reason = "an allocator that counts")]

mod loopback_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loopback_support::{Place, finish, random_file};
use loopcast::driver::RunOutcome;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a sender and a receiver together, and data packets that came.
fn transfer(port: u16, name: &str, bytes: usize) -> Option<(u64, u64)> {
    let place = Place::new(name, port)?;
    let file = random_file(&place.from(), "film.bin", bytes);
    let before = ALLOCATIONS.load(Relaxed);
    let sender = place.sender().offer_path(&file).start().unwrap();
    let summary = finish(place.receiver(0).start().unwrap());
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Complete);
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    Some((allocations, summary.received.total().packets))
}

#[test]
fn packets_cost_no_allocation() {
    let Some(small) = transfer(48_210, "small", 16_000_000) else {
        return;
    };
    let large = transfer(48_220, "large", 64_000_000).unwrap();
    let more = large.0.saturating_sub(small.0) as f64;
    let packets = (large.1 - small.1) as f64;
    // What is left comes with blocks of 512 packets, reports, SYNCs, events and batches from the disk.
    let each = more / packets;
    eprintln!("{small:?} {large:?}: {each:.3} allocations a packet");
    assert!(each < 0.1, "{each:.3} allocations a packet");
}

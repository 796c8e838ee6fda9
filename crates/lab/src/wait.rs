//! Waiting that one flag of the process ends, so that children and networks are cleaned up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often what is waited for is asked for.
const TICK: Duration = Duration::from_millis(1);

/// Flag that ends every wait of this process at once when it is set.
pub fn interrupted() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Sleeps; an error if interrupted meanwhile.
pub fn pause(time: Duration) -> Result<(), String> {
    let end = Instant::now() + time;
    poll_until(end, || Instant::now() >= end).map(drop)
}

/// Asks every millisecond until `f` says yes (true) or the deadline has passed (false).
pub fn poll_until(deadline: Instant, mut f: impl FnMut() -> bool) -> Result<bool, String> {
    loop {
        if interrupted().load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        if f() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(TICK);
    }
}

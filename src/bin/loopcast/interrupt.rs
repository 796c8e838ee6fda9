//! SIGINT and SIGTERM: the first asks to stop, the second ends at once.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;

/// Signals within this time are one: `timeout` and others send theirs to the process and to its group.
const SAME_WISH: Duration = Duration::from_millis(300);

/// Whether somebody wants the program to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to both signals from now on.
    pub(crate) fn install() -> Interrupt {
        let asked = Arc::new(AtomicBool::new(false));
        // Where handlers can't be installed, the signals keep ending the program their usual way.
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                let mut first: Option<Instant> = None;
                for _ in &mut signals {
                    asked.store(true, Ordering::Relaxed);
                    if first.get_or_insert_with(Instant::now).elapsed() >= SAME_WISH {
                        std::process::exit(i32::from(Exit::Interrupted.code()));
                    }
                }
            });
        }
        Interrupt(asked)
    }

    /// Whether a signal came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag that a signal sets.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Ends this process when standard input ends, that is when its parent is gone, however it went.
    pub(crate) fn tie_to_stdin() {
        std::thread::spawn(|| {
            let mut stdin = std::io::stdin().lock();
            let mut byte = [0];
            while matches!(stdin.read(&mut byte), Ok(1)) {}
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
    }
}

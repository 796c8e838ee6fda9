//! SIGINT and SIGTERM: the first asks to stop, the second ends at once.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// Whether somebody wants the program to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to both signals from now on.
    pub(crate) fn install() -> Interrupt {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order, the first signal finds the flag unset and only sets it. Where handlers
            // can't be installed, the signals keep ending the program their usual way.
            let code = i32::from(Exit::Interrupted.code());
            let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&asked));
            let _ = flag::register(signal, Arc::clone(&asked));
        }
        Interrupt(asked)
    }

    /// Whether a signal came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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

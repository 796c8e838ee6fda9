//! What every run does at its end.

use serde::Serialize;

use crate::console::Console;
use crate::exit::End;
use crate::own_event::OwnEvent;
use crate::stats::{Figures, StatsFile};

/// Writes the figures of a sender or receiver, without a `summary` if it never started, and says
/// how it ended. Figures that can't be written change a good end only: a transfer that failed has
/// more to say.
pub(crate) fn finish(
    console: &Console,
    stats: Option<StatsFile>,
    role: &'static str,
    summary: Option<&impl Serialize>,
    end: End,
) -> End {
    let written = stats.map_or(Ok(()), |file| {
        file.write(&Figures::new(role, summary, &end))
    });
    let end = match written {
        Err(e) if end.error.is_empty() => e,
        _ => end,
    };
    tell(console, end)
}

/// Says how a run ended.
pub(crate) fn tell(console: &Console, end: End) -> End {
    console.event(&OwnEvent::End(&end));
    end
}

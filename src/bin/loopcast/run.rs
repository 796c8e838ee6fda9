//! What every run of a sender or receiver does at its end.

use crate::console::Console;
use crate::exit::End;
use crate::fields::Fields;
use crate::stats::StatsFile;

/// Writes the figures and says how it ended. Figures that can't be written change a good end only: a
/// transfer that failed has more to say.
pub(crate) fn finish(
    console: &Console,
    stats: Option<StatsFile>,
    figures: &Fields,
    end: End,
) -> End {
    let written = stats.map_or(Ok(()), |file| file.write(figures));
    let end = match written {
        Err(e) if end.error.is_empty() => e,
        _ => end,
    };
    let (name, fields) = self::end(&end);
    console.event(name, fields);
    end
}

/// The last event of every run.
pub(crate) fn end(end: &End) -> (&'static str, Fields) {
    let error = (!end.error.is_empty()).then(|| end.error.clone());
    let fields = Fields::new()
        .with("outcome", end.exit.word())
        .with("exit_code", end.exit.code());
    ("end", fields.with("error", error))
}

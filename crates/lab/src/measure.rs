//! A figure with its limit.

use std::fmt;

/// What a figure must keep.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// The figure or less.
    AtMost(f64),
    /// The figure or more.
    AtLeast(f64),
    /// Told for information.
    Free,
}

/// A figure of a case.
pub struct Measure {
    what: String,
    figure: f64,
    unit: &'static str,
    limit: Limit,
    is_timed: bool,
}

impl Measure {
    /// A figure in its unit, which is not timed.
    pub fn new(what: impl Into<String>, figure: f64, unit: &'static str, limit: Limit) -> Measure {
        Measure {
            what: what.into(),
            figure,
            unit,
            limit,
            is_timed: false,
        }
    }

    /// A time or a speed, which what else the machine does has a part in.
    pub fn timed(self) -> Measure {
        Measure {
            is_timed: true,
            ..self
        }
    }

    /// It does not hold, and one run does not say why.
    pub fn may_be_chance(&self) -> bool {
        self.is_timed && !self.passed()
    }

    /// The same figure of several runs of its case: the median of those that are timed. Anything
    /// else must hold in each.
    pub fn of_runs(mut runs: Vec<Measure>) -> Option<Measure> {
        if !runs.first()?.is_timed {
            let failed = runs.iter().position(|m| !m.passed());
            return Some(runs.swap_remove(failed.unwrap_or(0)));
        }
        runs.sort_by(|a, b| a.figure.total_cmp(&b.figure));
        Some(runs.swap_remove(runs.len() / 2))
    }

    /// Whether it keeps its limit.
    pub fn passed(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.figure <= limit,
            Limit::AtLeast(limit) => self.figure >= limit,
            Limit::Free => true,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measure {
            what,
            figure,
            unit,
            limit,
            ..
        } = self;
        write!(f, "{what:44} {figure:8.3} {unit:6} ")?;
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        match limit {
            Limit::AtMost(limit) => write!(f, "limit <= {limit:7.3}  {verdict}"),
            Limit::AtLeast(limit) => write!(f, "limit >= {limit:7.3}  {verdict}"),
            Limit::Free => write!(f, "for information"),
        }
    }
}

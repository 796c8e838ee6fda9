//! Exit codes, a contract with scripts.

use std::process::ExitCode;

use loopcast::driver::{RunOutcome, StartError};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::console;
use crate::human;

/// How the program ends. The numbers are documented in `--help` and README.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Complete = 0,
    /// Some or all of it failed.
    Failed = 1,
    /// The command line can't be.
    Usage = 2,
    /// A file, folder, interface, port or permission is in the way.
    Environment = 3,
    /// No sender was heard in time.
    TimedOut = 4,
    /// SIGINT or SIGTERM came.
    Interrupted = 5,
    /// The sender does not serve this receiver any more.
    Evicted = 6,
}

impl Exit {
    /// Its number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// A stable word for scripts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Exit::Complete => "complete",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Environment => "environment",
            Exit::TimedOut => "timed_out",
            Exit::Interrupted => "interrupted",
            Exit::Evicted => "evicted",
        }
    }
}

impl From<RunOutcome> for Exit {
    fn from(outcome: RunOutcome) -> Exit {
        match outcome {
            RunOutcome::Complete => Exit::Complete,
            RunOutcome::TimedOut => Exit::TimedOut,
            RunOutcome::Stopped => Exit::Interrupted,
            RunOutcome::Evicted => Exit::Evicted,
            _ => Exit::Failed,
        }
    }
}

/// The end of a run, with what stands in its way if anything does.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// For people, with what to do; empty when all has been said.
    pub(crate) error: String,
}

impl End {
    /// An end that needs no more words.
    pub(crate) fn quiet(exit: Exit) -> End {
        End {
            exit,
            error: String::new(),
        }
    }

    /// An end by what the machine refuses or lacks.
    pub(crate) fn environment(error: impl ToString) -> End {
        End::error(Exit::Environment, error)
    }

    /// An end with an error.
    pub(crate) fn error(exit: Exit, error: impl ToString) -> End {
        End {
            exit,
            error: error.to_string(),
        }
    }
}

impl Serialize for End {
    /// The outcome in a word, the exit code, and the error or null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let error = Some(self.error.as_str()).filter(|text| !text.is_empty());
        let mut fields = serializer.serialize_struct("End", 3)?;
        fields.serialize_field("outcome", self.exit.word())?;
        fields.serialize_field("exit_code", &self.exit.code())?;
        fields.serialize_field("error", &error)?;
        fields.end()
    }
}

impl From<StartError> for End {
    fn from(error: StartError) -> End {
        use StartError as E;
        let exit = match &error {
            E::NothingToSend
            | E::NameClash { .. }
            | E::Url(_)
            | E::Pattern { .. }
            | E::SymbolSize(_)
            | E::NoRate
            | E::MinRate { .. }
            | E::TwoSenders { .. }
            | E::DropRate(_) => Exit::Usage,
            _ => Exit::Environment,
        };
        // Names in it may hold anything.
        End::error(exit, human::plain(&error.to_string()))
    }
}

impl From<End> for ExitCode {
    fn from(end: End) -> ExitCode {
        if !end.error.is_empty() {
            console::error_line(&format!("error: {}", end.error));
        }
        ExitCode::from(end.exit.code())
    }
}

//! `--include` and `--exclude`: which paths of a folder are meant, in the order given.

use clap::builder::TypedValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use loopcast::object::pattern::{Filter, Pattern};

const INCLUDE: &str = "include";
const EXCLUDE: &str = "exclude";

/// Rules of both options: the first whose pattern means a path decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection(pub(crate) Filter);

fn pattern(text: std::ffi::OsString) -> Result<Pattern, String> {
    Pattern::new(text.as_encoded_bytes()).map_err(|e| e.to_string())
}

fn option(id: &'static str, help: &'static str, long_help: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .value_name("PATTERN")
        .action(ArgAction::Append)
        .value_parser(clap::builder::OsStringValueParser::new().try_map(pattern))
        .help(help)
        .long_help(long_help)
}

impl clap::Args for Selection {
    fn augment_args(command: Command) -> Command {
        let include = option(
            INCLUDE,
            "Of folders take what the pattern means; may be given several times",
            "Of folders take what the pattern means; may be given several times\n\n\
             Of all --include and --exclude the first that means a path decides; without any --exclude \
             what none means is left out. * and ? stand for anything but a slash, ** for slashes too, \
             [a-z] for one of these; without a slash the last part of a path is meant, and a slash at the \
             end means folders only.",
        );
        let exclude = option(
            EXCLUDE,
            "Of folders leave out what the pattern means, and all that is in it",
            "Of folders leave out what the pattern means, and all that is in it; as --include",
        );
        command.arg(include).arg(exclude)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Selection::augment_args(command)
    }
}

impl clap::FromArgMatches for Selection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Selection, Error> {
        let rules = |id: &'static str| {
            let at = matches.indices_of(id).into_iter().flatten();
            let patterns = matches.get_many::<Pattern>(id).into_iter().flatten();
            at.zip(patterns).map(move |(at, pattern)| (at, id, pattern))
        };
        let mut rules: Vec<_> = rules(INCLUDE).chain(rules(EXCLUDE)).collect();
        rules.sort_by_key(|&(at, _, _)| at);
        let mut filter = Filter::new();
        for (_, id, pattern) in rules {
            let pattern = pattern.clone();
            match id {
                INCLUDE => filter.include(pattern),
                _ => filter.exclude(pattern),
            };
        }
        Ok(Selection(filter))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Selection::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    #[test]
    fn the_first_rule_given_decides() {
        let filter = |line: &[&str]| Line::try_parse_from(line).unwrap().selection.0;
        let keep = filter(&["x", "--include", "a.txt", "--exclude", "*.txt"]);
        assert!(keep.takes(b"a.txt", false) && !keep.takes(b"b.txt", false));
        let drop = filter(&["x", "--exclude", "*.txt", "--include", "a.txt"]);
        assert!(!drop.takes(b"a.txt", false));
        assert!(filter(&["x"]).is_empty());
        assert!(Line::try_parse_from(["x", "--include", "["]).is_err());
    }
}

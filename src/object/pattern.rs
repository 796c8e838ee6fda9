//! Patterns that choose paths of a tree: which of its files are sent, or fetched.
//!
//! Takes patterns and relative paths, both as bytes, gives whether a path is meant. It touches no
//! file. A pattern is read like this:
//!
//! * `*` stands for any bytes but `/`, `?` for one character but `/`, `[a-z]` and `[!a-z]` for one
//!   byte of a set or outside it, `\` takes what follows as it is.
//! * `**` stands for any bytes, `/` too; `**/` for any number of folders, none as well. So `a/**`
//!   is everything in `a`, and `**/x` every `x`.
//! * A pattern without `/` is compared with the last component of a path, any other with the whole
//!   path. A leading `/` only says that the whole path is meant; one at the end, that only folders
//!   are.
//!
//! Of several rules the first that matches counts. A folder that is excluded takes what is in it
//! with it, one that is included too, unless a rule says otherwise about what is in it. What no
//! rule matches is taken, but not where all rules are includes: then only what they name is taken.

use thiserror::Error;

/// The part of an object of this name that a receiver asks for by a name it was given: all of it
/// (an empty text), what a pattern in it means, or nothing (`None`).
///
/// An object is named as a whole or by the last part of its name; behind a whole name, a slash and
/// a pattern may follow.
pub fn part_of<'a>(asked: &'a str, name: &str) -> Option<&'a str> {
    if name == asked || name.rsplit('/').next() == Some(asked) {
        return Some("");
    }
    asked.strip_prefix(name)?.strip_prefix('/')
}

/// Most bytes in a pattern: as many as in a path.
const MAX_LEN: usize = 4_096;

/// A pattern for relative paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    steps: Vec<Step>,
    /// Compared with the whole path, not with its last component.
    whole: bool,
    folders_only: bool,
}

/// Why a pattern can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PatternError {
    /// The pattern has nothing to compare with.
    #[error("a pattern is empty")]
    Empty,
    /// The pattern is longer than any path.
    #[error("a pattern has {0} bytes, where {MAX_LEN} are possible")]
    TooLong(usize),
    /// A set of bytes has no end.
    #[error("a pattern has '[' without ']'; write \\[ for the character")]
    OpenSet,
    /// Nothing follows a backslash.
    #[error("a pattern ends with a backslash")]
    OpenEscape,
}

/// Part of a pattern, and the state of having matched all before it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Byte(u8),
    /// The first byte of a character but `/`.
    Any,
    /// A byte of these ranges, or outside them.
    Set {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// What a character of several bytes has behind its first.
    Rest,
    /// `*`
    Star,
    /// `**`
    All,
    /// `**/` where a component begins; [`Step::InFolder`] follows.
    Folders,
    /// `**/` within a component.
    InFolder,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &[u8]) -> Result<Pattern, PatternError> {
        if text.len() > MAX_LEN {
            return Err(PatternError::TooLong(text.len()));
        }
        let (body, folders_only) = match text.strip_suffix(b"/") {
            Some(body) => (body, true),
            None => (text, false),
        };
        let (body, rooted) = match body.strip_prefix(b"/") {
            Some(body) => (body, true),
            None => (body, false),
        };
        if body.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Pattern {
            steps: steps(body)?,
            whole: rooted || body.contains(&b'/'),
            folders_only,
        })
    }

    /// Whether the pattern means this path, of a folder or of something else.
    pub fn matches(&self, path: &[u8], folder: bool) -> bool {
        if self.folders_only && !folder {
            return false;
        }
        let last = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        run(&self.steps, if self.whole { path } else { last })
    }
}

fn steps(text: &[u8]) -> Result<Vec<Step>, PatternError> {
    let mut steps = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'*' => {
                let begins = matches!(steps.last(), None | Some(Step::Byte(b'/')));
                match rest {
                    [b'*', b'/', after @ ..] if begins => {
                        rest = after;
                        steps.extend([Step::Folders, Step::InFolder]);
                    }
                    [b'*', ..] => {
                        let stars = rest.iter().take_while(|&&b| b == b'*').count();
                        rest = rest.get(stars..).unwrap_or_default();
                        steps.push(Step::All);
                    }
                    _ => steps.push(Step::Star),
                }
            }
            b'?' => steps.extend([Step::Any, Step::Rest]),
            b'[' => {
                let (set, after) = set(rest)?;
                rest = after;
                steps.extend([set, Step::Rest]);
            }
            b'\\' => {
                let (byte, after) = rest.split_first().ok_or(PatternError::OpenEscape)?;
                rest = after;
                steps.push(Step::Byte(*byte));
            }
            byte => steps.push(Step::Byte(*byte)),
        }
    }
    Ok(steps)
}

/// A set from behind its `[` on, and what follows its `]`. A `]` that comes first is in the set.
fn set(text: &[u8]) -> Result<(Step, &[u8]), PatternError> {
    let (negated, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [] => return Err(PatternError::OpenSet),
            [b']', after @ ..] if !ranges.is_empty() => {
                return Ok((Step::Set { negated, ranges }, after));
            }
            [from, b'-', to, after @ ..] if *to != b']' => {
                ranges.push((*from, *to));
                after
            }
            [byte, after @ ..] => {
                ranges.push((*byte, *byte));
                after
            }
        };
    }
}

/// Follows all ways through a pattern at once, so that none takes longer than path times pattern.
fn run(steps: &[Step], path: &[u8]) -> bool {
    let mut now = vec![false; steps.len() + 1];
    let mut next = now.clone();
    reach(steps, &mut now, 0);
    for &byte in path {
        next.fill(false);
        let mut alive = false;
        for (at, step) in steps.iter().enumerate() {
            if !now.get(at).copied().unwrap_or(false) {
                continue;
            }
            let folder = byte == b'/';
            let to = match step {
                Step::Byte(wanted) => (*wanted == byte).then_some(at + 1),
                Step::Any => (!folder).then_some(at + 1),
                Step::Set { negated, ranges } => {
                    let within = ranges.iter().any(|(a, b)| (a..=b).contains(&&byte));
                    (!folder && within != *negated).then_some(at + 1)
                }
                Step::Rest => (0x80..=0xbf).contains(&byte).then_some(at),
                Step::Star => (!folder).then_some(at),
                Step::All => Some(at),
                Step::Folders => (!folder).then_some(at + 1),
                Step::InFolder => Some(if folder { at - 1 } else { at }),
            };
            if let Some(to) = to {
                alive = true;
                reach(steps, &mut next, to);
            }
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut now, &mut next);
    }
    now.last().copied().unwrap_or(false)
}

/// Marks a state, and those that are reached from it without a byte.
fn reach(steps: &[Step], states: &mut [bool], mut at: usize) {
    while let Some(state) = states.get_mut(at) {
        *state = true;
        at += match steps.get(at) {
            Some(Step::Rest | Step::Star | Step::All) => 1,
            Some(Step::Folders) => 2,
            _ => return,
        };
    }
}

/// Rules that choose paths of a tree; without any, all are taken.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    rules: Vec<(Pattern, bool)>,
}

impl Filter {
    /// No rules yet: everything is taken.
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Adds a rule behind the others: what the pattern means is taken.
    pub fn include(&mut self, pattern: Pattern) -> &mut Filter {
        self.rules.push((pattern, true));
        self
    }

    /// Adds a rule behind the others: what the pattern means is left out.
    pub fn exclude(&mut self, pattern: Pattern) -> &mut Filter {
        self.rules.push((pattern, false));
        self
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The verdict of the first rule that means this path, whatever is said about its folders.
    pub fn verdict(&self, path: &[u8], folder: bool) -> Option<bool> {
        let rule = self.rules.iter().find(|(p, _)| p.matches(path, folder));
        rule.map(|(_, taken)| *taken)
    }

    /// Whether paths that no rule means are taken.
    pub fn takes_others(&self) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|(_, taken)| !taken)
    }

    /// Whether this path is taken, by the rules for it and for the folders it is in. A folder that
    /// is not taken itself may hold something that is.
    pub fn takes(&self, path: &[u8], folder: bool) -> bool {
        let mut taken = self.takes_others();
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let ends = ends.map(|(end, _)| end).chain([path.len()]);
        for end in ends {
            let part = path.get(..end).unwrap_or(path);
            match self.verdict(part, folder || end < path.len()) {
                Some(true) => taken = true,
                Some(false) => return false,
                None => {}
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::new(pattern.as_bytes()).unwrap();
        pattern.matches(path.as_bytes(), false)
    }

    fn filter(rules: &[&str]) -> Filter {
        let mut filter = Filter::new();
        for rule in rules {
            let pattern = Pattern::new(&rule.as_bytes()[1..]).unwrap();
            if rule.starts_with('+') {
                filter.include(pattern);
            } else {
                filter.exclude(pattern);
            }
        }
        filter
    }

    #[test]
    fn patterns_mean_what_is_documented() {
        for (pattern, path, expected) in [
            ("*.jpg", "a/b/c.jpg", true),
            ("*.jpg", "a/b/c.jpg/d", false),
            ("a/*.jpg", "a/c.jpg", true),
            ("a/*.jpg", "a/b/c.jpg", false),
            ("a/*.jpg", "x/a/c.jpg", false),
            ("/c.jpg", "c.jpg", true),
            ("/c.jpg", "a/c.jpg", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/bc", false),
            ("**/c", "c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "a/bc", false),
            ("a**c", "a/b/c", false),
            ("/a**c", "a/b/c", true),
            ("**", "a/b", true),
            ("?.txt", "ä.txt", true),
            ("?.txt", "ab.txt", false),
            ("[a-c]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("[]x]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a?b", "a/b", false),
            ("/a?b", "a/b", false),
            ("build", "a/build", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert!(!matches("build/", "build"));
        assert!(Pattern::new(b"build/").unwrap().matches(b"x/build", true));
    }

    #[test]
    fn patterns_that_cannot_be_are_refused() {
        for (pattern, why) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            ("[a", PatternError::OpenSet),
            ("[]", PatternError::OpenSet),
            ("a\\", PatternError::OpenEscape),
        ] {
            assert_eq!(Pattern::new(pattern.as_bytes()), Err(why), "{pattern}");
        }
        let long = vec![b'a'; MAX_LEN + 1];
        assert_eq!(Pattern::new(&long), Err(PatternError::TooLong(MAX_LEN + 1)));
    }

    #[test]
    fn the_first_rule_counts_and_folders_take_their_content_along() {
        let f = filter(&["+keep.o", "-*.o", "-target/"]);
        let takes = |path: &str| f.takes(path.as_bytes(), false);
        assert!(takes("keep.o") && takes("a.c") && takes("target"));
        assert!(!takes("x/a.o") && !takes("target/a.c") && !takes("target/keep.o"));
    }

    #[test]
    fn includes_alone_mean_only_those() {
        let f = filter(&["+*.jpg", "+photos/2024"]);
        let takes = |path: &str| f.takes(path.as_bytes(), false);
        assert!(takes("a/b.jpg") && takes("photos/2024/x/y.txt"));
        assert!(!takes("a/b.txt") && !takes("photos/2023/y.txt"));
        assert!(!f.takes(b"photos", true) && f.takes(b"photos/2024", true));
        assert!(Filter::new().takes(b"anything", false));
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = "*a".repeat(500);
        assert!(!matches(
            &pattern,
            &"a".repeat(4_000).replace("aaaa", "aaba")[..255]
        ));
        assert!(!matches(
            &format!("/{}b", "**a".repeat(300)),
            &"a".repeat(4_000)
        ));
    }

    /// The meaning of steps, once more and by trial.
    fn naive(pattern: &[u8], path: &[u8], begins: bool) -> bool {
        match pattern {
            [] => path.is_empty(),
            [b'*', b'*', b'/', rest @ ..] if begins => {
                let mut ends = (0..path.len()).filter(|&end| path[end] == b'/');
                naive(rest, path, true) || ends.any(|end| naive(rest, &path[end + 1..], true))
            }
            [b'*', b'*', rest @ ..] => {
                let rest = &rest[rest.iter().take_while(|b| **b == b'*').count()..];
                (0..=path.len()).any(|n| naive(rest, &path[n..], false))
            }
            [b'*', rest @ ..] => {
                let longest = path.iter().take_while(|b| **b != b'/').count();
                (0..=longest).any(|n| naive(rest, &path[n..], false))
            }
            [b'?', rest @ ..] => match path {
                [b'/', ..] | [] => false,
                [_, path @ ..] => naive(rest, path, false),
            },
            [byte, rest @ ..] => match path {
                [first, path @ ..] if first == byte => naive(rest, path, *byte == b'/'),
                _ => false,
            },
        }
    }

    proptest! {
        #[test]
        fn all_ways_at_once_find_what_trial_finds(
            pattern in "[ab/*?]{1,8}", path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
        ) {
            prop_assert_eq!(
                run(&steps(pattern.as_bytes()).unwrap(), path.as_bytes()),
                naive(pattern.as_bytes(), path.as_bytes(), true)
            );
        }

        #[test]
        fn no_bytes_break_it(
            pattern in prop::collection::vec(any::<u8>(), 0..40),
            path in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(pattern) = Pattern::new(&pattern) {
                pattern.matches(&path, true);
            }
        }

        #[test]
        fn a_path_without_signs_means_itself(path in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
            let pattern = Pattern::new(format!("/{path}").as_bytes()).unwrap();
            prop_assert!(pattern.matches(path.as_bytes(), false));
            let longer = format!("{path}x");
            prop_assert!(!pattern.matches(longer.as_bytes(), false));
        }
    }
}

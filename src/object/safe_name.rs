//! The one way for a name from the network to become a path.
//!
//! Takes a name, gives a checked relative path or the reason why there is none. It looks at no file
//! system: what already stands in the way on disk (symbolic links, say) is the store's business.

use std::path::PathBuf;

use thiserror::Error;

/// Most bytes in a name that an object is offered under.
pub const MAX_OFFERED_NAME: usize = 255;
/// Most bytes in a path of a file table (Linux's `PATH_MAX`).
pub const MAX_TABLE_PATH: usize = 4_096;
/// Most bytes in one component, less what the store appends to it while a file is incomplete:
/// `.part.state` is 11 bytes, and file systems end at 255.
pub const MAX_COMPONENT: usize = 255 - 11;

/// Most components in a name: more is no one's folder, and each costs the receiver work.
pub const MAX_DEPTH: usize = 64;

/// A name that is safe to join to a folder on any system: one or more plain components, `/`
/// between.
///
/// Joined to a folder it names something inside that folder, and never one of the files that the
/// store keeps beside incomplete ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SafeName(String);

/// Why a name is not safe.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NameError {
    /// It has no bytes, or a component has none (`a//b`, `a/`).
    #[error("a name or a part of it is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("the name has {0} bytes, more than allowed")]
    TooLong(usize),
    /// A component has more than [`MAX_COMPONENT`] bytes.
    #[error("a part of the name has {0} bytes, where {MAX_COMPONENT} are possible")]
    ComponentTooLong(usize),
    /// More than [`MAX_DEPTH`] components.
    #[error("the name has more than {MAX_DEPTH} parts")]
    TooDeep,
    /// It starts at the root.
    #[error("the name is an absolute path")]
    Absolute,
    /// A component is `.` or `..`.
    #[error("the name has a '.' or '..' in it")]
    Dots,
    /// A character that some system takes for a separator, a drive, a stream, a pattern or a
    /// command.
    #[error("the name has the character {0:?} in it")]
    Character(char),
    /// A component ends with a dot or a space, which Windows drops.
    #[error("a part of the name ends with a dot or a space")]
    Trailing,
    /// A component is what Windows calls a device (`CON`, `com1.txt`).
    #[error("a part of the name is a device on Windows")]
    Device,
    /// A component ends like the files that the store keeps beside incomplete ones.
    #[error("a part of the name ends like an incomplete file (.part)")]
    Reserved,
}

impl SafeName {
    /// Checks a name that an object is offered under: at most [`MAX_OFFERED_NAME`] bytes.
    pub fn offered(name: &str) -> Result<SafeName, NameError> {
        SafeName::within(name, MAX_OFFERED_NAME)
    }

    /// Checks a path of a file table: at most [`MAX_TABLE_PATH`] bytes.
    pub fn in_table(path: &str) -> Result<SafeName, NameError> {
        SafeName::within(path, MAX_TABLE_PATH)
    }

    fn within(name: &str, max: usize) -> Result<SafeName, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > max {
            return Err(NameError::TooLong(name.len()));
        }
        if name.starts_with('/') {
            return Err(NameError::Absolute);
        }
        if name.split('/').count() > MAX_DEPTH {
            return Err(NameError::TooDeep);
        }
        name.split('/').try_for_each(check_component)?;
        Ok(SafeName(name.to_owned()))
    }

    /// The name, with `/` between components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, outermost first; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders it is in, and the last component.
    pub fn split(&self) -> (Vec<&str>, &str) {
        let mut folders: Vec<&str> = self.components().collect();
        let last = folders.pop().unwrap_or_default();
        (folders, last)
    }

    /// It as a relative path of this system.
    pub fn to_path(&self) -> PathBuf {
        self.components().collect()
    }
}

fn check_component(part: &str) -> Result<(), NameError> {
    if part.is_empty() {
        return Err(NameError::Empty);
    }
    if part == "." || part == ".." {
        return Err(NameError::Dots);
    }
    if part.len() > MAX_COMPONENT {
        return Err(NameError::ComponentTooLong(part.len()));
    }
    if let Some(c) = part.chars().find(|&c| is_refused(c)) {
        return Err(NameError::Character(c));
    }
    if part.ends_with(['.', ' ']) {
        return Err(NameError::Trailing);
    }
    if is_device(part) {
        return Err(NameError::Device);
    }
    if is_reserved(part) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// Control characters could also paint over what a terminal shows; so could the marks that turn the
/// direction of text around.
fn is_refused(c: char) -> bool {
    let bidi =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// A device is one whatever follows the first dot, and spaces before the dot do not count.
fn is_device(part: &str) -> bool {
    let stem = part
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end_matches(' ')
        .to_ascii_uppercase();
    if matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$"
    ) {
        return true;
    }
    let Some(number) = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"))
    else {
        return false;
    };
    // Windows takes the superscripts for digits too.
    let mut digits = number.chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('0'..='9' | '¹' | '²' | '³'), None)
    )
}

/// `.part`, `.part.state`, `.part.spool`, `.part.old`: without regard to case, as some file systems
/// are.
fn is_reserved(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    [".part", ".part.state", ".part.spool", ".part.old"]
        .iter()
        .any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn plain_names_pass() {
        for name in [
            "a",
            "film.mkv",
            "a/b/c.txt",
            "ünïcode 文.bin",
            ".hidden",
            "a..b",
            "console.txt",
            "com10",
            "part",
            "x.parts",
        ] {
            let safe = SafeName::offered(name).unwrap();
            assert_eq!(safe.as_str(), name);
            assert_eq!(safe.to_path(), Path::new(name));
        }
        assert_eq!(
            SafeName::offered("a/b/c").unwrap().split(),
            (vec!["a", "b"], "c")
        );
    }

    #[test]
    fn others_are_refused_by_reason() {
        use NameError::*;
        let cases = [
            ("", Empty),
            ("a//b", Empty),
            ("a/", Empty),
            ("/etc/passwd", Absolute),
            ("/", Absolute),
            ("..", Dots),
            (".", Dots),
            ("a/../b", Dots),
            ("./a", Dots),
            ("C:", Character(':')),
            ("C:\\x", Character(':')),
            ("a\\..\\b", Character('\\')),
            ("\\\\host\\share", Character('\\')),
            ("file:stream", Character(':')),
            ("a\0b", Character('\0')),
            ("a\nb", Character('\n')),
            ("a\u{1b}[2Jb", Character('\u{1b}')),
            ("txt.\u{202e}exe", Character('\u{202e}')),
            ("what?", Character('?')),
            ("a.", Trailing),
            ("a ", Trailing),
            ("a./b", Trailing),
            ("...", Trailing),
            ("CON", Device),
            ("con.txt", Device),
            ("nul.tar.gz", Device),
            ("x/aux", Device),
            ("COM1", Device),
            ("lpt9.log", Device),
            ("com¹", Device),
            ("con .txt", Device),
            ("CONIN$", Device),
            ("a.part", Reserved),
            ("a.PART", Reserved),
            (".part", Reserved),
            ("a.part.state", Reserved),
            ("d.part.old/x", Reserved),
        ];
        for (name, why) in cases {
            assert_eq!(SafeName::offered(name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn lengths_have_ends() {
        let component = "x".repeat(MAX_COMPONENT);
        assert!(SafeName::offered(&component).is_ok());
        let longer = "x".repeat(MAX_COMPONENT + 1);
        assert_eq!(
            SafeName::offered(&longer),
            Err(NameError::ComponentTooLong(MAX_COMPONENT + 1))
        );
        let offered = format!("{}/{}", "a".repeat(127), "b".repeat(127));
        assert!(SafeName::offered(&offered).is_ok());
        assert_eq!(
            SafeName::offered(&format!("{offered}c")),
            Err(NameError::TooLong(256))
        );
        let deep = format!("{}b", "a/".repeat(MAX_DEPTH - 1));
        assert!(SafeName::offered(&deep).is_ok());
        assert_eq!(
            SafeName::offered(&format!("{deep}/c")),
            Err(NameError::TooDeep)
        );
        let path = vec!["x".repeat(240); 17].join("/");
        assert_eq!(path.len(), 4_096);
        assert!(SafeName::in_table(&path).is_ok());
        assert_eq!(
            SafeName::in_table(&format!("{path}c")),
            Err(NameError::TooLong(4_097))
        );
    }

    proptest! {
        #[test]
        fn never_leaves_its_folder(name in "[a-c./\\\\: \u{0}C]{0,24}|\\PC{0,40}") {
            let Ok(safe) = SafeName::in_table(&name) else { return Ok(()) };
            let base = Path::new("/base/folder");
            let joined = base.join(safe.to_path());
            let mut rest = joined.strip_prefix(base).unwrap().components();
            prop_assert!(rest.clone().next().is_some());
            prop_assert!(rest.all(|c| matches!(c, Component::Normal(_))));
            prop_assert_eq!(safe.components().count(), joined.components().count() - base.components().count());
        }
    }
}

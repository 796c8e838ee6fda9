//! Any bytes as what people and peers write: names, file tables, URLs, fingerprints, key files,
//! rates and sizes.
//!
//! None may panic; what is taken must mean the same when it is written and read again, and a name
//! must stay inside the folder.

use core::fmt::Display;
use core::str::FromStr;
use std::path::Component;

use loopcast::archive::FileTable;
use loopcast::object::table::{self, TableWriter};
use loopcast::object::{Checker, Description, SafeName};
use loopcast::seal::Fingerprint;
use loopcast::secret::{KeyKind, Secret};
use loopcast::units::{ByteLen, Rate};
use loopcast::url::Url;

/// Reads `data` as each of them.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    name(SafeName::offered(&text).ok());
    name(SafeName::in_table(&text).ok());
    again::<Url>(&text);
    again::<Fingerprint>(&text);
    // These are rounded for people when they are written.
    let _ = (Rate::from_str(&text), ByteLen::from_str(&text));
    for kind in [KeyKind::Sender, KeyKind::Group, KeyKind::Archive] {
        if let Ok(secret) = Secret::from_text(&text, kind) {
            let written = secret.to_text(kind);
            let read = Secret::from_text(&written, kind).map(|s| *s.expose());
            assert_eq!(read.ok(), Some(*secret.expose()));
        }
    }
    let length = data.first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
    for length in [length, length >> 32, length >> 56] {
        if let Ok(table) = FileTable::parse(data, length) {
            assert_eq!(FileTable::parse(&table.encode(), length), Ok(table));
        }
        tree(data, length);
        if let Ok(description) = Description::pretend("x", length, 1_344, 64) {
            let checker = Checker::new(&description);
            let _ = checker.check(u32::from(data.len() as u16), data);
        }
    }
}

/// The table of a folder, which has one form, and paths that stay inside.
fn tree(data: &[u8], length: u64) {
    let Ok(table) = table::FileTable::parse(data.to_vec(), length) else {
        return;
    };
    let mut again = TableWriter::new();
    for (index, entry) in table.entries().enumerate() {
        assert!(again.push(&entry).is_ok());
        let within = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
        assert!(entry.path.is_empty() || entry.path.split(|&b| b == b'/').all(within));
        assert!(table.offset(index) + table.length(index) <= length);
    }
    assert_eq!(again.finish(), data);
}

fn name(name: Option<SafeName>) {
    if let Some(name) = name {
        let path = name.to_path();
        let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
        assert!(path.components().all(plain), "{path:?}");
        assert!(path.components().count() == name.components().count());
        assert_eq!(SafeName::in_table(name.as_str()), Ok(name));
    }
}

fn again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = T::from_str(text) {
        let written = value.to_string();
        assert!(T::from_str(&written).ok() == Some(value), "{written}");
    }
}

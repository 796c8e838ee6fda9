//! A path that is sent: from what is on disk to a table, hashes, and bytes by their place.
//!
//! Takes the PATH that the user named. [`scan`] walks it and gives a [`Tree`]: every file, folder
//! and link, and what is left out. [`hash`] reads all files once and gives the table, the content
//! id and the hashes of the blocks. [`ContentReader`] then gives any bytes of the content, and
//! [`Tree::changes`] says whether the tree still looks as it did.
//!
//! Links are never followed, but for the PATH itself. A file that changes is noticed when it is
//! read, and never gives a mixture, as far as the clock of its file system tells: a write in the
//! same tick as the scan (4 ms on many) is only noticed by the hashes of blocks. It sends nothing,
//! and does not watch the tree between reads.

mod again;
mod buffer;
mod check;
mod hash;
mod listing;
mod nodes;
mod opened;
mod reader;
mod scan;
mod skipped;
mod system;
mod table;
#[cfg(test)]
mod tests;

pub use check::{Change, Changes, What};
pub use hash::{HashError, Hashed, hash};
pub use nodes::{Looks, Tree};
pub use reader::ContentReader;
pub use scan::{ScanError, ScanOptions, Scanned, scan};
pub use skipped::{Skipped, Why};
pub(crate) use table::table;

//! The names in a folder.

use std::io;
use std::os::fd::OwnedFd;

use crate::object::table::MAX_ENTRIES;
use crate::store::tree::system;

/// The names in a folder, sorted.
#[derive(Default)]
pub(super) struct Listing {
    bytes: Vec<u8>,
    places: Vec<(u32, u32)>,
}

impl Listing {
    pub(super) fn of(folder: &OwnedFd) -> io::Result<Listing> {
        let mut list = Listing::default();
        let mut fits = true;
        system::list(folder, |name| {
            let start = u32::try_from(list.bytes.len());
            fits &= start.is_ok() && (list.places.len() as u64) < MAX_ENTRIES;
            if let (true, Ok(start)) = (fits, start) {
                list.bytes.extend_from_slice(name);
                list.places.push((start, name.len() as u32));
            }
        })?;
        if !fits {
            return Err(io::Error::other("too many names in one folder"));
        }
        let Listing { bytes, places } = &mut list;
        places.sort_unstable_by(|a, b| name_at(bytes, *a).cmp(name_at(bytes, *b)));
        Ok(list)
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        Some(name_at(&self.bytes, *self.places.get(index)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| name_at(&self.bytes, *place))
    }
}

fn name_at(bytes: &[u8], (start, len): (u32, u32)) -> &[u8] {
    bytes
        .get(start as usize..(start + len) as usize)
        .unwrap_or_default()
}

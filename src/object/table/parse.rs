//! From bytes to a table, checked.

use core::cmp::Ordering;
use core::ops::Range;

use super::encode::{HAS_ATTRIBUTES, HAS_HASH, HAS_HOLES, HAS_OWNER, KIND, VERSION};
use super::{
    Entry, EntryKind, FileTable, MAX_ATTRIBUTES, MAX_BYTES, MAX_COMPONENTS, MAX_ENTRIES, MAX_NAME,
    MAX_PATH, MAX_TARGET, MAX_VALUE, TableError, compare_paths,
};
use crate::ids::Hash;

/// Fewest bytes of an entry: flags, an empty path, permissions and time.
const LEAST: u64 = 12;

impl FileTable {
    /// Reads the table of an object with so many bytes of content. `bytes` must be the table and
    /// nothing else.
    pub fn parse(bytes: Vec<u8>, content_len: u64) -> Result<FileTable, TableError> {
        let all = bytes.len() as u64;
        if all > MAX_BYTES {
            return Err(TableError::TooLarge(all));
        }
        let mut r = Reader::new(&bytes);
        let version = r.byte()?;
        if version != VERSION {
            return Err(TableError::Version(version));
        }
        let count = r.varint()?;
        match count {
            0 => return Err(TableError::Empty),
            n if n > MAX_ENTRIES => return Err(TableError::TooMany(n)),
            // Before anything is allocated for them.
            n if n > r.len() as u64 / LEAST => return Err(TableError::Short),
            _ => {}
        }
        let mut check = Check::new(count);
        let mut starts = Vec::with_capacity(count as usize);
        let mut offsets = Vec::with_capacity(count as usize);
        for _ in 0..count {
            starts.push((all - r.len() as u64) as u32);
            offsets.push(check.content);
            check.add(&read_entry(&mut r)?)?;
        }
        if r.len() > 0 {
            return Err(TableError::Long);
        }
        if check.content != content_len {
            return Err(TableError::Length(content_len));
        }
        Ok(FileTable {
            bytes,
            starts,
            offsets,
            content_len,
        })
    }
}

/// What entries must be one after the other.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Several are to come: the first is their folder.
    is_tree: bool,
    /// The path before, and the lengths of the paths of the folders that it is in or is.
    path: Vec<u8>,
    folders: Vec<usize>,
    any: bool,
    /// Bytes of content so far.
    pub(super) content: u64,
}

impl Check {
    /// Of so many entries.
    pub(super) fn new(count: u64) -> Check {
        Check {
            is_tree: count > 1,
            path: Vec::new(),
            folders: Vec::new(),
            any: false,
            content: 0,
        }
    }

    pub(super) fn add(&mut self, entry: &Entry<'_>) -> Result<(), TableError> {
        if !self.any {
            // A folder's table may have nothing but the folder.
            self.is_tree |= entry.path.is_empty();
            let is_root = entry.path.is_empty() && entry.kind == EntryKind::Folder;
            let is_file = matches!(entry.kind, EntryKind::File { .. });
            if !is_root && (self.is_tree || !is_file || entry.path.contains(&b'/')) {
                return Err(TableError::Root);
            }
        } else if entry.path.is_empty() {
            return Err(TableError::Root);
        } else {
            match compare_paths(&self.path, entry.path) {
                Ordering::Less => {}
                Ordering::Equal => return Err(TableError::Twice),
                Ordering::Greater => return Err(TableError::Order),
            }
            self.find_parent(entry.path)?;
        }
        if let EntryKind::File { length, hash, .. } = &entry.kind {
            if hash.is_some() != (self.is_tree && *length > 0) {
                return Err(TableError::Hash);
            }
            let end = self.content.checked_add(*length);
            self.content = end.ok_or(TableError::Length(u64::MAX))?;
        }
        self.any = true;
        self.path.clear();
        self.path.extend_from_slice(entry.path);
        if entry.kind == EntryKind::Folder {
            self.folders.push(entry.path.len());
        }
        Ok(())
    }

    /// Leaves the folders that the path is not in; what is left must be the one that it is in.
    fn find_parent(&mut self, path: &[u8]) -> Result<(), TableError> {
        let parent = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        while let Some(&folder) = self.folders.last() {
            let is_above = folder <= parent && self.path[..folder] == path[..folder];
            if is_above && folder == parent {
                return Ok(());
            }
            if is_above && (folder == 0 || path[folder] == b'/') {
                return Err(TableError::Parent);
            }
            self.folders.pop();
        }
        Err(TableError::Parent)
    }
}

/// Checks one path by itself.
pub(super) fn check_path(path: &[u8]) -> Result<(), TableError> {
    if path.is_empty() {
        return Ok(());
    }
    if path.len() > MAX_PATH {
        return Err(TableError::PathTooLong);
    }
    if path[0] == b'/' {
        return Err(TableError::Absolute);
    }
    let mut components = 0;
    for name in path.split(|&b| b == b'/') {
        components += 1;
        match name {
            b"" => return Err(TableError::EmptyName),
            b"." | b".." => return Err(TableError::Dots),
            _ if name.len() > MAX_NAME => return Err(TableError::NameTooLong),
            _ if name.contains(&0) => return Err(TableError::Nul),
            _ if components > MAX_COMPONENTS => return Err(TableError::TooDeep),
            _ => {}
        }
    }
    Ok(())
}

/// Checks what an entry says by itself.
pub(super) fn check_entry(entry: &Entry<'_>) -> Result<(), TableError> {
    check_path(entry.path)?;
    if entry.mode > 0o7777 {
        return Err(TableError::Kind);
    }
    match &entry.kind {
        EntryKind::File { length, holes, .. } => {
            let mut end = None;
            for hole in holes {
                let apart = end.is_none_or(|end| hole.start > end);
                if !apart || hole.is_empty() || hole.end > *length {
                    return Err(TableError::Holes);
                }
                end = Some(hole.end);
            }
        }
        EntryKind::Folder => {}
        EntryKind::Link { target } if target.contains(&0) => return Err(TableError::Nul),
        EntryKind::Link { target } => {
            if target.is_empty() || target.len() > MAX_TARGET {
                return Err(TableError::Target);
            }
        }
    }
    let names = entry.xattrs.iter().map(|(name, _)| *name);
    let sorted = names.clone().is_sorted_by(|a, b| a < b);
    let fit = |(name, value): &(&[u8], &[u8])| {
        (1..=MAX_NAME).contains(&name.len()) && !name.contains(&0) && value.len() <= MAX_VALUE
    };
    let total: usize = entry.xattrs.iter().map(|(n, v)| n.len() + v.len()).sum();
    if !sorted || total > MAX_ATTRIBUTES || !entry.xattrs.iter().all(fit) {
        return Err(TableError::Attributes);
    }
    Ok(())
}

/// Reads the flags and the path of an entry.
pub(super) fn read_path<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], TableError> {
    r.byte()?;
    r.text(MAX_PATH, TableError::PathTooLong)
}

/// Reads an entry and checks it by itself.
pub(super) fn read_entry<'a>(r: &mut Reader<'a>) -> Result<Entry<'a>, TableError> {
    let flags = r.byte()?;
    if flags & !(KIND | HAS_HASH | HAS_HOLES | HAS_OWNER | HAS_ATTRIBUTES) != 0 {
        return Err(TableError::Kind);
    }
    let path = r.text(MAX_PATH, TableError::PathTooLong)?;
    let mode = u32::from(u16::from_be_bytes(r.array()?));
    let mtime = i64::from_be_bytes(r.array()?);
    let kind = match flags & KIND {
        0 => read_file(r, flags)?,
        _ if flags & (HAS_HASH | HAS_HOLES) != 0 => return Err(TableError::Kind),
        1 => EntryKind::Folder,
        2 => EntryKind::Link {
            target: r.text(MAX_TARGET, TableError::Target)?,
        },
        _ => return Err(TableError::Kind),
    };
    let owner = match flags & HAS_OWNER {
        0 => None,
        _ => Some((r.varint_u32()?, r.varint_u32()?)),
    };
    let mut xattrs = Vec::new();
    if flags & HAS_ATTRIBUTES != 0 {
        let count = r.varint()?;
        if count == 0 || count > MAX_ATTRIBUTES as u64 {
            return Err(TableError::Attributes);
        }
        for _ in 0..count {
            let name = r.text(MAX_NAME, TableError::Attributes)?;
            xattrs.push((name, r.text(MAX_VALUE, TableError::Attributes)?));
        }
    }
    let entry = Entry {
        path,
        kind,
        mtime,
        mode,
        owner,
        xattrs,
    };
    check_entry(&entry)?;
    Ok(entry)
}

fn read_file<'a>(r: &mut Reader<'a>, flags: u8) -> Result<EntryKind<'a>, TableError> {
    let length = r.varint()?;
    let hash = match flags & HAS_HASH {
        0 => None,
        _ => Some(Hash(r.array()?)),
    };
    let holes = match flags & HAS_HOLES {
        0 => Vec::new(),
        _ => read_holes(r)?,
    };
    Ok(EntryKind::File {
        length,
        hash,
        holes,
    })
}

fn read_holes(r: &mut Reader<'_>) -> Result<Vec<Range<u64>>, TableError> {
    let count = r.varint()?;
    if count == 0 || count > r.len() as u64 / 2 {
        return Err(TableError::Holes);
    }
    let mut end = 0u64;
    let mut holes = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = end.checked_add(r.varint()?).ok_or(TableError::Holes)?;
        end = start.checked_add(r.varint()?).ok_or(TableError::Holes)?;
        holes.push(start..end);
    }
    Ok(holes)
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], TableError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(TableError::Short)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TableError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(TableError::Short)?;
        self.0 = tail;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, TableError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, TableError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(TableError::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return shortest.then_some(value).ok_or(TableError::Number);
            }
        }
        Err(TableError::Number)
    }

    fn varint_u32(&mut self) -> Result<u32, TableError> {
        u32::try_from(self.varint()?).map_err(|_| TableError::Number)
    }

    /// Bytes with their length before them.
    fn text(&mut self, most: usize, too_long: TableError) -> Result<&'a [u8], TableError> {
        let len = self.varint()?;
        if len > most as u64 {
            return Err(too_long);
        }
        self.slice(len as usize)
    }
}

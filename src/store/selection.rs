//! What of an object a receiver wants.

use crate::ids::BlockNo;
use crate::object::pattern::{Filter, Pattern, PatternError, part_of};
use crate::object::table::FileTable;
use crate::object::{Description, Geometry, ObjectKind, Part};
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;

/// Which paths of trees are wanted; all, by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    filter: Filter,
    asked: Option<String>,
}

impl Selection {
    /// A selection by these rules, of every tree.
    pub fn new(filter: Filter) -> Selection {
        Selection {
            filter,
            asked: None,
        }
    }

    /// The same, of what was asked for by a name: that of an object, or one that is followed by a
    /// slash and a pattern for paths in it.
    ///
    /// # Errors
    /// The name is no pattern.
    pub fn asked(mut self, name: Option<&str>) -> Result<Selection, PatternError> {
        if let Some((_, rest)) = name.and_then(|name| name.split_once('/'))
            && !rest.is_empty()
        {
            Pattern::new(rest.as_bytes())?;
        }
        self.asked = name.map(str::to_owned);
        Ok(self)
    }

    /// The part of one object that is wanted.
    pub(crate) fn of(&self, description: &Description) -> Result<Wanted, SinkError> {
        let asked = self.asked.as_deref();
        let part = asked.and_then(|asked| part_of(asked, &description.name));
        let part = part.unwrap_or_default().trim_end_matches('/');
        let mut filters = Vec::new();
        if description.kind != ObjectKind::File {
            filters.extend((!self.filter.is_empty()).then(|| self.filter.clone()));
        } else if !part.is_empty() {
            return Err(SinkError::NoSuchPart(part.to_owned()));
        }
        let mut named = None;
        if !part.is_empty() {
            let no_pattern = |_| SinkError::NoSuchPart(part.to_owned());
            let mut filter = Filter::new();
            let pattern = Pattern::new(format!("/{part}").as_bytes()).map_err(no_pattern)?;
            filter.include(pattern);
            filters.push(filter);
            named = Some(part.to_owned());
        }
        Ok(Wanted { filters, named })
    }
}

/// The part of one object that is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// A path is wanted if all take it.
    filters: Vec<Filter>,
    /// The pattern that something has to match.
    named: Option<String>,
}

/// The wanted part of an object whose table is known.
pub(crate) struct Chosen {
    /// Entries that are wanted, and the folders that they are in.
    pub(crate) entries: Bitmap,
    /// Blocks that are not.
    pub(crate) unwanted: Bitmap,
}

impl Wanted {
    /// Whether nothing is left out.
    pub(crate) fn is_all(&self) -> bool {
        self.filters.is_empty()
    }

    /// Entries and blocks of it, by the table; `None` if it is everything.
    pub(crate) fn by(&self, table: &FileTable, g: &Geometry) -> Result<Option<Chosen>, SinkError> {
        if self.is_all() {
            return Ok(None);
        }
        let mut entries = Bitmap::new(table.len() as u32);
        let mut unwanted = Bitmap::new(g.blocks());
        for block in g.first_content_block()..g.blocks() {
            unwanted.set(block, true);
        }
        let mut is_any = false;
        for index in 0..table.len() {
            let path = table.path(index);
            let is_folder = table.is_folder(index);
            if !path.is_empty() && !self.filters.iter().all(|f| f.takes(path, is_folder)) {
                continue;
            }
            is_any |= !path.is_empty();
            want_with_folders(table, index, &mut entries);
            let length = table.length(index);
            if length > 0 {
                want_blocks(g, table.offset(index), length, &mut unwanted);
            }
        }
        match &self.named {
            Some(named) if !is_any => Err(SinkError::NoSuchPart(named.clone())),
            _ => Ok(Some(Chosen { entries, unwanted })),
        }
    }
}

fn want_with_folders(table: &FileTable, index: usize, entries: &mut Bitmap) {
    let mut index = Some(index);
    while let Some(at) = index
        && entries.set(at as u32, true).is_some()
    {
        let path = table.path(at);
        let folder = match path.iter().rposition(|&b| b == b'/') {
            Some(slash) => path.get(..slash),
            None if path.is_empty() => None,
            None => Some(&[][..]),
        };
        index = folder.and_then(|folder| table.find(folder));
    }
}

/// Blocks of some bytes of the content, and the pages that prove them.
fn want_blocks(g: &Geometry, offset: u64, length: u64, unwanted: &mut Bitmap) {
    let size = u64::from(g.block_size());
    for index in offset / size..(offset + length).div_ceil(size) {
        let block: BlockNo = g.data_block(Part::Content, index as u32);
        unwanted.set(block, false);
        if let Some((page, _)) = g.page_of(block) {
            unwanted.set(page, false);
        }
    }
}

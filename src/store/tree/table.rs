//! The table of a tree whose files are hashed.

use crate::ids::Hash;
use crate::object::table::{Entry, EntryKind, TableError, TableWriter};
use crate::store::tree::nodes::{NodeKind, Tree};

/// The encoded table; `hashes` has one of each entry, or none where the object is a single file.
pub(crate) fn table(tree: &Tree, hashes: &[Hash]) -> Result<Vec<u8>, TableError> {
    Ok(written(tree, hashes)?.finish())
}

/// The table before its bytes are put together, for which `hashes` are not needed any more.
pub(super) fn written(tree: &Tree, hashes: &[Hash]) -> Result<TableWriter, TableError> {
    let mut writer = TableWriter::new();
    let mut path = Vec::new();
    for (index, node) in tree.nodes.iter().enumerate() {
        tree.path_into(index as u32, &mut path);
        let kind = match node.kind {
            NodeKind::File => EntryKind::File {
                length: node.size,
                hash: hashes.get(index).copied().filter(|_| node.size > 0),
                holes: tree.holes_of(index as u32).to_vec(),
            },
            NodeKind::Folder => EntryKind::Folder,
            NodeKind::Link => EntryKind::Link {
                target: tree.target_of(node),
            },
            NodeKind::LeftOut => continue,
        };
        let xattrs = tree.xattrs.get(&(index as u32)).into_iter().flatten();
        writer.push(&Entry {
            path: &path,
            kind,
            mtime: node.mtime,
            mode: u32::from(node.mode),
            owner: tree.owners.get(index).copied(),
            xattrs: xattrs.map(|(name, value)| (&**name, &**value)).collect(),
        })?;
    }
    Ok(writer)
}

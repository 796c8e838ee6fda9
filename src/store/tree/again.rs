//! A second look at a file that is not what was scanned.

use std::io;
use std::sync::Arc;

use crate::store::tree::nodes::{Looks, NodeKind, Tree};
use crate::store::tree::opened::Opened;
use crate::store::tree::scan::{MAX_CONTENT, is_sparse};
use crate::store::tree::skipped::Why;
use crate::store::tree::system::{self, Kind};

/// Opens a single file again that was replaced or written to.
pub(super) fn reopen(tree: &mut Tree) -> io::Result<()> {
    let opened = system::open_root(&tree.path, false);
    let opened = opened.and_then(|file| Ok((system::status(&file)?, file)));
    let (status, file) = opened?;
    if status.kind != Kind::File || status.size > MAX_CONTENT {
        return Err(io::Error::other("it is no file any more"));
    }
    tree.root = Arc::new(file);
    tree.renew(0, &status);
    tree.set_holes(0, Vec::new());
    if is_sparse(&status) {
        let root = Arc::clone(&tree.root);
        tree.find_holes(0, status.size, &root);
    }
    Ok(())
}

/// Takes note of what a file looks like now; an error says why it is to be left out.
pub(super) fn look_again(tree: &mut Tree, opened: &Opened, index: u32) -> Result<(), Why> {
    let Some(node) = tree
        .node(index)
        .copied()
        .filter(|node| node.kind == NodeKind::File)
    else {
        return Ok(());
    };
    let gone = |e: io::Error| match e.kind() {
        io::ErrorKind::PermissionDenied => Why::Unreadable(e),
        _ => Why::Gone,
    };
    let folder = opened.folder(tree, node.parent).map_err(|_| Why::Gone)?;
    let name = tree.name_of(&node).to_vec();
    let status = system::status_at(&folder, &name).map_err(gone)?;
    if status.kind != Kind::File {
        return Err(Why::of_kind(status.kind));
    }
    if Looks::of(&status) == tree.looks_of(&node) {
        return Ok(());
    }
    if tree.content_len().saturating_add(status.size) > MAX_CONTENT {
        return Err(Why::TooLarge);
    }
    tree.renew(index, &status).ok_or(Why::Gone)?;
    tree.set_holes(index, Vec::new());
    if is_sparse(&status) {
        let file = system::open_file(&folder, &name).map_err(gone)?;
        tree.find_holes(index, status.size, &file);
    }
    Ok(())
}

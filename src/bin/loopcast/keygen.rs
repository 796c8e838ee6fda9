//! `loopcast keygen`.

use std::path::Path;

use loopcast::seal::GroupKey;
use loopcast::secret::KeyKind;
use loopcast::store::{NewKey, read_key, read_sender_key, sender_key, sender_key_path};

use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::fields::Fields;
use crate::human;
use crate::key_json;
use crate::run;

/// Makes or shows a key, and says where it is.
pub(crate) fn run(args: &args::Keygen) -> End {
    let console = Console::new(args.json);
    let made = match &args.group {
        Some(path) => group(path, args.force, &console),
        None => sender(args.show, &console),
    };
    let end = made.err().unwrap_or(End::quiet(Exit::Complete));
    run::finish(&console, None, &Fields::new(), end)
}

/// Reads a group key.
///
/// # Errors
///
/// [`Exit::Environment`] if it can't be read, or is none.
pub(crate) fn read_group_key(path: &Path) -> Result<GroupKey, End> {
    Ok(GroupKey::new(read_key(path, KeyKind::Group)?))
}

fn group(path: &Path, force: bool, console: &Console) -> Result<(), End> {
    NewKey::create(path, KeyKind::Group, force)?.keep()?;
    let (name, fields) = key_json::group_key(path);
    console.event(name, fields);
    console.say(format!(
        "the group key is in {}: give it to everybody in the group, and to nobody else",
        human::plain(&path.to_string_lossy())
    ));
    Ok(())
}

fn sender(show: bool, console: &Console) -> Result<(), End> {
    let path = sender_key_path().ok_or_else(|| {
        let text = "no place for the key is known: set HOME or XDG_CONFIG_HOME";
        End::error(Exit::Environment, text)
    })?;
    let (key, made) = if show {
        (read_sender_key(&path)?, false)
    } else {
        sender_key(&path)?
    };
    let fingerprint = key.public().fingerprint();
    let (name, fields) = key_json::sender_key(&path, &fingerprint, made);
    console.event(name, fields);
    let what = if made {
        "made"
    } else {
        "this sender's key is in"
    };
    console.say(format!("{what} {}", human::plain(&path.to_string_lossy())));
    console.say(format!("fingerprint {fingerprint}"));
    Ok(())
}

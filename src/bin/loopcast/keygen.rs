//! `loopcast keygen`.

use std::path::Path;

use loopcast::seal::GroupKey;
use loopcast::secret::KeyKind;
use loopcast::store::{NewKey, read_key, read_sender_key, sender_key, sender_key_path};

use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::own_event::OwnEvent;
use crate::run;

/// Makes or shows a key, and says where it is.
pub(crate) fn run(args: &args::Keygen) -> End {
    let console = Console::new(args.json);
    let made = match &args.group {
        Some(path) => group(path, args.force, &console),
        None => sender(args.show, &console),
    };
    let end = made.err().unwrap_or(End::quiet(Exit::Complete));
    run::tell(&console, end)
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
    console.event(&OwnEvent::GroupKey {
        path: path.to_string_lossy(),
    });
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
    console.event(&OwnEvent::SenderKey {
        path: path.to_string_lossy(),
        fingerprint,
        made,
    });
    let what = if made {
        "made"
    } else {
        "this sender's key is in"
    };
    console.say(format!("{what} {}", human::plain(&path.to_string_lossy())));
    console.say(format!("fingerprint {fingerprint}"));
    Ok(())
}

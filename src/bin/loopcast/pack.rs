//! `loopcast pack` and `loopcast unpack`.

use loopcast::secret::KeyKind;
use loopcast::store::{NewKey, Pack};

use crate::archiving;
use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::interrupt::Interrupt;
use crate::run;

/// Packs, and says how it went.
pub(crate) fn run(args: &args::Pack, interrupt: &Interrupt) -> End {
    let console = Console::new(args.json);
    end(&console, pack(args, &console, interrupt))
}

fn pack(args: &args::Pack, console: &Console, interrupt: &Interrupt) -> Result<(), End> {
    let files = archiving::files_at(&args.paths, console)?;
    let key = NewKey::create(&args.key, KeyKind::Archive, args.force)?;
    let job = Pack {
        files,
        out: args.out.clone(),
        key: key.secret().clone(),
        level: args.compress,
        force: args.force,
    };
    archiving::pack(&job, key, &args.key, console, interrupt).map(drop)
}

/// Unpacks, and says how it went.
pub(crate) fn unpack(args: &args::Unpack, interrupt: &Interrupt) -> End {
    let console = Console::new(args.json);
    let unpacked = archiving::archive_key(&args.key)
        .and_then(|key| archiving::unpack(&args.archive, key, &args.into, &console, interrupt));
    end(&console, unpacked.map(drop))
}

fn end(console: &Console, result: Result<(), End>) -> End {
    let end = result.err().unwrap_or(End::quiet(Exit::Complete));
    run::tell(console, end)
}

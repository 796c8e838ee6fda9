//! Reading and writing at a place in a file: the seam to the system, and where tests break it.

use std::fs::File;
use std::io;
use std::ops::Range;

/// A file that is read and written at given places. Tests put one in between that fails.
pub(crate) trait Disk: Send + Sync {
    /// Fills `buf` from `offset` on; an early end is [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `buf` from `offset` on.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Gives back the room of a range, which reads as zeros then. Nothing happens where the system
    /// has no such thing.
    fn punch(&self, range: Range<u64>) {
        let _ = range;
    }
}

#[cfg(unix)]
impl Disk for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, buf, offset)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn punch(&self, range: Range<u64>) {
        use rustix::fs::FallocateFlags as Flags;
        let hole = Flags::PUNCH_HOLE | Flags::KEEP_SIZE;
        // Only room is lost where the file system can't.
        let _ = rustix::fs::fallocate(self, hole, range.start, range.end - range.start);
    }
}

#[cfg(windows)]
impl Disk for File {
    fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let n = std::os::windows::fs::FileExt::seek_read(self, buf, offset)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buf = &mut buf[n..];
            offset += n as u64;
        }
        Ok(())
    }

    fn write_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let n = std::os::windows::fs::FileExt::seek_write(self, buf, offset)?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            buf = &buf[n..];
            offset += n as u64;
        }
        Ok(())
    }
}

/// Tells the system that a file will be read from front to end, so that it reads ahead further.
pub(crate) fn will_read_in_order(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        // Advice only: what it says does not matter if it is refused.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = file;
}

//! Keeps blocks of the disk allocated beyond what the data file uses, so that settlements and trims can be committed
//! when the disk is full.
//!
//! The file is made longer than what LMDB uses of it, which LMDB neither reads nor minds. What is allocated is looked
//! at as one stock: the free pages inside the file and the blocks after its last page.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::fault::is_no_space;

/// What of the data file is in use. In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Up to where LMDB has used the file.
    pub(super) end: u64,
    /// What of that is not free again.
    pub(super) used: u64,
}

/// The disk under the data file.
pub(super) struct Space {
    file: File,
    /// Up to where the file has blocks; 0 until the first look.
    allocated: u64,
    /// Allocation goes in steps of this.
    step: u64,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Blocks are allocated ahead.
    Allocate,
    /// The file system cannot do that: only its free space is looked at.
    Observe,
}

impl Space {
    /// The disk under `file`, for a journal that keeps `reserve` bytes.
    pub(super) fn new(file: File, reserve: u64) -> Self {
        // A quarter of the reserve: few calls, and not much more taken from the disk than was asked for.
        Self { file, allocated: 0, step: (reserve / 4).max(64 << 10), how: How::Allocate }
    }

    /// Whether `need` bytes more than what is in use are there, or could be had now.
    pub(super) fn has(&mut self, extent: Extent, need: u64) -> io::Result<bool> {
        if self.how == How::Allocate && self.allocate(extent.end.saturating_add(need))? {
            return Ok(true);
        }
        let beyond = match self.how {
            How::Allocate => self.allocated.saturating_sub(extent.end),
            How::Observe => {
                let disk = fstatvfs(&self.file)?;
                disk.f_bavail.saturating_mul(disk.f_frsize)
            }
        };
        let free_inside = extent.end.saturating_sub(extent.used);
        Ok(beyond.saturating_add(free_inside) >= need)
    }

    fn allocate(&mut self, end: u64) -> io::Result<bool> {
        if end <= self.allocated {
            return Ok(true);
        }
        // Where a whole step fails, what is needed may still succeed.
        for end in [end.next_multiple_of(self.step), end] {
            match fallocate(&self.file, FallocateFlags::empty(), self.allocated, end - self.allocated) {
                Ok(()) => {
                    self.allocated = end;
                    return Ok(true);
                }
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.how = How::Observe;
                    return Ok(false);
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let error = io::Error::from(errno);
                    if !is_no_space(&error) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_allocated_ahead_in_steps() {
        let file = tempfile::tempfile().unwrap();
        let mut space = Space::new(file.try_clone().unwrap(), 1 << 20);
        assert!(space.has(Extent { end: 8192, used: 8192 }, 1 << 20).unwrap());
        assert_eq!(file.metadata().unwrap().len(), (1 << 20) + (256 << 10));
        assert!(space.has(Extent { end: 100_000, used: 50_000 }, 1 << 20).unwrap());
        assert_eq!(file.metadata().unwrap().len(), (1 << 20) + (256 << 10), "what is there suffices");
    }
}

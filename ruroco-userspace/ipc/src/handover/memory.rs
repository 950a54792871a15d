//! The file in which keys go from one process to another: it has no name, is in memory only, and its reader
//! overwrites it with zeros.
//!
//! It is not sealed, because its receiver must overwrite it, and no process can seal it (`memfd_create(2)`
//! without `MFD_ALLOW_SEALING`). If an attacker controls the receiver and changes the file, the sender is not
//! affected: it has closed the file and never reads it. The kernel frees the pages as they are when the last
//! descriptor is closed. So a file that was never received is not wiped, and neither is the memory of a
//! killed process.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use rustix::fs::{MemfdFlags, memfd_create};
use zeroize::Zeroizing;

use super::keys::MAX_SIZE;

/// A new file with this content.
///
/// # Errors
/// If the kernel has no memory for it.
pub fn put(content: &[u8]) -> io::Result<File> {
    let file = File::from(memfd_create("ruroco-keys", MemfdFlags::CLOEXEC)?);
    match file.write_all_at(content, 0) {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = wipe(&file);
            Err(error)
        }
    }
}

/// The content of a file that [`put`] has made; the file then holds zeros.
///
/// # Errors
/// If it is no such file, or cannot be read or written over.
pub fn take(file: OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file of keys"));
    }
    let size = usize::try_from(metadata.len()).map_err(io::Error::other)?;
    let mut content = Zeroizing::new(vec![0; size]);
    let read = file.read_exact_at(&mut content, 0);
    wipe(&file)?;
    read.map(|()| content)
}

/// Writes zeros over the whole file.
///
/// # Errors
/// If it cannot be written.
pub fn wipe(file: &File) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let size = file.metadata()?.len();
    let mut at = 0;
    while at < size {
        let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
        let zeros = ZEROS.get(..left).unwrap_or(&ZEROS);
        file.write_all_at(zeros, at)?;
        at = at.saturating_add(zeros.len().try_into().map_err(io::Error::other)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};
    use std::os::fd::AsFd;

    fn content(file: &File) -> Vec<u8> {
        let mut content = vec![0; file.metadata().unwrap().len().try_into().unwrap()];
        file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    #[test]
    fn what_was_taken_is_gone() {
        for size in [0, 1, 4095, 4096, 4097, 10_000] {
            let secret: Vec<u8> = (1..=u8::MAX).cycle().take(size).collect();
            let file = put(&secret).unwrap();
            assert_eq!(content(&file), secret);
            assert_eq!(*take(file.try_clone().unwrap().into()).unwrap(), secret);
            assert_eq!(content(&file), vec![0; size]);
        }
    }

    #[test]
    fn nobody_can_keep_it_from_being_wiped() {
        let file = put(b"secret").unwrap();
        assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err());
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        let refused = |file: OwnedFd| {
            let error = take(file).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        };
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        refused(socket.into());
        let huge = put(b"secret").unwrap();
        ftruncate(huge.as_fd(), MAX_SIZE + 1).unwrap();
        refused(huge.into());
    }
}

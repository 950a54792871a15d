//! System calls as an attacker would make them: without the library that makes them well-behaved.

use std::{ffi::CStr, io};

/// Six arguments or fewer; the rest are 0.
pub(crate) fn call<const N: usize>(number: i64, arguments: [usize; N]) -> io::Result<usize> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: every caller passes arguments of the kind that this system call takes; pointers are to
    // values that outlive the call and that the kernel may write to where it does.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The same, where what comes back is of no interest.
pub(crate) fn does<const N: usize>(number: i64, arguments: [usize; N]) -> io::Result<()> {
    call(number, arguments).map(drop)
}

pub(crate) fn text(text: &CStr) -> usize {
    text.as_ptr() as usize
}

pub(crate) fn to<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>() as usize
}

pub(crate) fn to_mut<T>(value: &mut T) -> usize {
    std::ptr::from_mut(value) as usize
}

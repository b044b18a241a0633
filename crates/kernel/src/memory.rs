//! Memory that is not known to be there: reads that fail instead of faulting.

use panal_uapi::Errno;

/// Reads this process's own memory at an address that may be anything.
///
/// The kernel does the copy, so a bad address is an error and never a signal.
pub fn read_own(address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    read_process(std::process::id(), address, buffer)
}

/// Reads the memory of a process that the caller may trace; `EFAULT` when any byte cannot be read.
#[cfg(target_os = "linux")]
pub fn read_process(pid: u32, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    if buffer.is_empty() {
        return Ok(());
    }
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: buffer.len(),
    };
    // SAFETY: `local` describes the exclusively borrowed buffer; `remote` is only interpreted by the
    // kernel, which checks it.
    let done = unsafe { libc::process_vm_readv(pid as libc::pid_t, &local, 1, &remote, 1, 0) };
    if done == buffer.len() as isize {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Reads the memory of a process: not possible on this system.
#[cfg(not(target_os = "linux"))]
pub fn read_process(_pid: u32, _address: u64, _buffer: &mut [u8]) -> Result<(), Errno> {
    Err(Errno::EFAULT)
}

/// Writes the memory of a process that the caller may trace.
#[cfg(target_os = "linux")]
pub fn write_process(pid: u32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    if bytes.is_empty() {
        return Ok(());
    }
    let local = libc::iovec {
        iov_base: bytes.as_ptr() as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: `local` is only read; `remote` is only interpreted by the kernel, which checks it, and
    // lies in another process or is the caller's wish.
    let done = unsafe { libc::process_vm_writev(pid as libc::pid_t, &local, 1, &remote, 1, 0) };
    if done == bytes.len() as isize {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Writes the memory of a process: not possible on this system.
#[cfg(not(target_os = "linux"))]
pub fn write_process(_pid: u32, _address: u64, _bytes: &[u8]) -> Result<(), Errno> {
    Err(Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn bad_addresses_are_errors() {
        let value = 0x1122_3344u32;
        let mut out = [0; 4];
        assert_eq!(read_own(&raw const value as u64, &mut out), Ok(()));
        assert_eq!(u32::from_ne_bytes(out), value);
        for bad in [0, 1, u64::MAX, 1 << 63, u64::MAX - 2] {
            assert_eq!(read_own(bad, &mut out), Err(Errno::EFAULT), "{bad:#x}");
        }
        assert_eq!(read_own(0, &mut []), Ok(()));
    }
}

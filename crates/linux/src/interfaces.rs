//! Network interfaces of the thread's network namespace: by name, and whether they are still there.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::RawFd,
};

use crate::{netlink::Socket, sys::last_errno};

/// `RTMGRP_LINK`
const RTMGRP_LINK: u32 = 1;

/// The index of an interface.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: a C string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// The names of all.
pub fn interface_names() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the list ends with an entry without a name, and is freed once, after the last use.
    unsafe {
        let list = libc::if_nameindex();
        let mut entry = list;
        while !entry.is_null() && !(*entry).if_name.is_null() {
            let name = CStr::from_ptr((*entry).if_name);
            names.push(name.to_string_lossy().into_owned());
            entry = entry.add(1);
        }
        if !list.is_null() {
            libc::if_freenameindex(list);
        }
    }
    names
}

fn exists(index: u32) -> bool {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call asks for.
    !unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null()
}

/// Notices that interfaces go away.
pub struct InterfaceWatch {
    socket: Socket,
    there: Vec<u32>,
}

impl InterfaceWatch {
    /// Watches these.
    pub fn new(indexes: &[u32]) -> io::Result<Self> {
        let to_io = |errno: panal_uapi::Errno| io::Error::from_raw_os_error(errno.0);
        let socket = Socket::open().map_err(to_io)?;
        // SAFETY: all-zero is a valid address of this plain structure.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = RTMGRP_LINK;
        // SAFETY: the address has the size that is told.
        let bound = unsafe {
            libc::bind(
                socket.descriptor(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        match bound {
            0 => Ok(InterfaceWatch {
                socket,
                there: indexes.to_vec(),
            }),
            _ => Err(to_io(last_errno())),
        }
    }

    /// Becomes readable when something happened to an interface.
    pub fn descriptor(&self) -> RawFd {
        self.socket.descriptor()
    }

    /// Those that went away since the last call.
    pub fn gone(&mut self) -> Vec<u32> {
        let mut buffer = [0u8; 1 << 12];
        // What the messages say does not matter, and some may have been lost.
        // SAFETY: the buffer has the length that is told.
        while unsafe {
            libc::recv(
                self.descriptor(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            )
        } > 0
        {}
        let (there, gone) = self.there.iter().partition(|index| exists(**index));
        self.there = there;
        gone
    }
}

//! Connecting and binding for a task: on a duplicate of its socket, with an address that was read
//! once.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use panal_uapi::Errno;

use crate::memory::read_process;

use super::{
    acting::Actor,
    launch::take_descriptor,
    memory::last_errno,
    perform::{Asked, Done},
    request::{AddressRequest, Request},
    resolve::{Found, Last, Start},
    traced::Traced,
    watcher::Syscall,
};

/// `sizeof(struct sockaddr_storage)`
const LONGEST: usize = 128;

/// Does a `connect` or `bind`.
///
/// # Errors
/// Linux's, as the task would get them; the policy's.
pub(super) fn perform(
    actor: &mut Actor,
    task: &Traced,
    call: &Syscall,
    asked: &Asked<'_>,
) -> Result<Done, Errno> {
    let connects = libc::c_long::from(call.number) == libc::SYS_connect;
    let (number, address, length) = (call.args[0] as i32, call.args[1], call.args[2] as i32);
    if number < 0 {
        return Err(Errno::EBADF);
    }
    let socket = take_descriptor(task.tgid, number).map_err(|_| Errno::EBADF)?;
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    if length > LONGEST {
        return Err(Errno::EINVAL);
    }
    let mut address_bytes = vec![0u8; length];
    read_process(task.tid, address, &mut address_bytes)?;
    asked.still_waits()?;
    let request = AddressRequest {
        family: option(&socket, libc::SO_DOMAIN)?,
        kind: option(&socket, libc::SO_TYPE)?,
        protocol: option(&socket, libc::SO_PROTOCOL)?,
        cookie: option(&socket, libc::SO_COOKIE)?,
        address: &mut address_bytes,
    };
    let datagram = request.kind == libc::SOCK_DGRAM;
    let family = request.family;
    asked.decide(&mut match connects {
        true => Request::Connect(request),
        false => Request::Bind(request),
    })?;
    let identity = task.identity();
    if family == libc::AF_UNIX && has_path(&address_bytes) {
        let path = unix_path(&address_bytes).to_vec();
        return match connects {
            true => {
                let start = Start::of(task, libc::AT_FDCWD, &path, 0)?;
                let found = actor.act(&identity, || start.resolve(&path, Last::Follow, 0))?;
                let Found::File(file) = found else {
                    return Err(Errno::ENOENT);
                };
                let at = format!("/proc/self/fd/{}", file.as_raw_fd());
                let address = unix_address(at.as_bytes());
                actor
                    .act(&identity, || connect(&socket, &address))
                    .map(Done::Value)
            }
            false => bind_unix(actor, task, &socket, &path),
        };
    }
    if !connects {
        return actor
            .act(&identity, || bind(&socket, &address_bytes))
            .map(Done::Value);
    }
    if datagram || is_non_blocking(&socket) {
        return connect(&socket, &address_bytes).map(Done::Value);
    }
    Ok(Done::Later(Box::new(move || {
        connect(&socket, &address_bytes).map(Done::Value)
    })))
}

/// Makes the socket's file in the directory that the path means to the task.
fn bind_unix(
    actor: &mut Actor,
    task: &Traced,
    socket: &OwnedFd,
    path: &[u8],
) -> Result<Done, Errno> {
    let start = Start::of(task, libc::AT_FDCWD, path, 0)?;
    let identity = task.identity();
    actor.take_umask(task.tid)?;
    actor
        .act(&identity, || {
            match start.resolve(path, Last::NoFollow, 0)? {
                Found::File(_) => Err(Errno::EADDRINUSE),
                Found::Missing(directory, name) => {
                    let at = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd());
                    bind(socket, &unix_address(&[at.as_bytes(), &name].concat()))
                }
            }
        })
        .map(Done::Value)
}

fn has_path(address: &[u8]) -> bool {
    address
        .first_chunk::<2>()
        .is_some_and(|f| u16::from_ne_bytes(*f) == libc::AF_UNIX as u16)
        && address.get(2).is_some_and(|first| *first != 0)
}

fn unix_path(address: &[u8]) -> &[u8] {
    let path = address.get(2..).unwrap_or_default();
    path.split(|b| *b == 0).next().unwrap_or_default()
}

fn unix_address(path: &[u8]) -> Vec<u8> {
    [&(libc::AF_UNIX as u16).to_ne_bytes(), path, &[0]].concat()
}

fn connect(socket: &OwnedFd, address: &[u8]) -> Result<i64, Errno> {
    // SAFETY: the address and its length belong together; Linux checks what is in it.
    result(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as u32,
        )
    })
}

fn bind(socket: &OwnedFd, address: &[u8]) -> Result<i64, Errno> {
    // SAFETY: the address and its length belong together; Linux checks what is in it.
    result(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as u32,
        )
    })
}

fn result(outcome: i32) -> Result<i64, Errno> {
    match outcome {
        0 => Ok(0),
        _ => Err(last_errno()),
    }
}

/// An integer socket option; `ENOTSOCK` for what is no socket.
/// What options of sockets are.
trait Integer: Copy + Default {}
impl Integer for i32 {}
impl Integer for u64 {}

/// An option of the socket: a number.
fn option<T: Integer>(socket: &OwnedFd, name: i32) -> Result<T, Errno> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has the length told, and every bit pattern of an integer is valid.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &mut length,
        )
    };
    match outcome {
        0 => Ok(value),
        _ => Err(Errno(
            io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
        )),
    }
}

fn is_non_blocking(socket: &OwnedFd) -> bool {
    // SAFETY: asks for flags.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

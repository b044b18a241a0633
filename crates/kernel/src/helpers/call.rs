//! One call of a helper, in safe terms: arguments, memory of the cage, the run's host.

use std::{ptr::NonNull, sync::atomic::AtomicU32};

use panal_maps::{Map, bytes};
use panal_uapi::Errno;
use panal_vm::{HelperFn, Run};

use crate::{host::Host, kernel::Shared, packet::Packet};

/// A helper's number, name and function.
pub(crate) struct Implementation {
    pub id: u32,
    /// For the test that compares it with the signature's.
    #[cfg_attr(not(test), allow(dead_code))]
    pub name: &'static str,
    pub function: HelperFn,
}

/// A safe function of one [`Call`] as machine code calls it.
macro_rules! entry {
    ($function:path) => {{
        unsafe extern "C" fn entry(
            r1: u64,
            r2: u64,
            r3: u64,
            r4: u64,
            r5: u64,
            run: *mut panal_vm::Run,
        ) -> u64 {
            // SAFETY: the caller's promise, handed on.
            let mut call = unsafe { $crate::helpers::call::Call::new([r1, r2, r3, r4, r5], run) };
            $crate::helpers::call::IntoReturn::into_return($function(&mut call))
        }
        entry
    }};
}
pub(crate) use entry;

/// Ties numbers to safe functions of one [`Call`]: `BPF_FUNC_name => function;`. The function is
/// called as the helper is, which a test compares with the table of signatures.
macro_rules! implement {
    ($($id:ident => $function:ident;)*) => {
        pub(super) const TABLE: &[$crate::helpers::call::Implementation] = &[$(
            $crate::helpers::call::Implementation {
                id: panal_uapi::helpers::id::$id,
                name: $crate::helpers::call::plain_name(stringify!($function)),
                function: $crate::helpers::call::entry!($function),
            },
        )*];
    };
}
pub(crate) use implement;

/// What helpers return, as a register has it.
pub(crate) trait IntoReturn {
    fn into_return(self) -> u64;
}

impl IntoReturn for u64 {
    fn into_return(self) -> u64 {
        self
    }
}

impl IntoReturn for () {
    fn into_return(self) -> u64 {
        0
    }
}

impl<T: IntoReturn> IntoReturn for Result<T, Errno> {
    #[inline(always)]
    fn into_return(self) -> u64 {
        match self {
            Ok(value) => value.into_return(),
            Err(errno) => errno.as_return(),
        }
    }
}

/// A call of a helper. Small enough to be copied where something seldom is done: what is handed on by a
/// reference lies in memory from the start.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    args: [u64; 5],
    run: *mut Run,
    base: u64,
    size: u64,
    host: *mut Host<'c>,
}

impl<'c> Call<'c> {
    /// # Safety
    /// `run` is the run that calls; its cage is mapped readable and writable as a whole; its host is
    /// a [`Host`] that nobody else uses during the call.
    #[inline(always)]
    pub unsafe fn new(args: [u64; 5], run: *mut Run) -> Self {
        // SAFETY: the caller's promise.
        let (base, size, host) = unsafe {
            let run = &*run;
            (
                run.cage_base(),
                run.cage_size(),
                run.host.cast::<Host<'c>>(),
            )
        };
        Call {
            args,
            run,
            base,
            size,
            host,
        }
    }

    /// An argument, from 0.
    #[inline(always)]
    pub fn arg(&self, n: usize) -> u64 {
        self.args[n]
    }

    /// An argument of type `u32` or `int`: the lower half counts.
    pub fn arg32(&self, n: usize) -> u32 {
        self.args[n] as u32
    }

    /// The run that calls.
    pub fn run(&mut self) -> *mut Run {
        self.run
    }

    /// Whether the run has to end: a helper that works for long returns then, with any value.
    pub fn interrupted(&self) -> bool {
        // SAFETY: the run outlives the call, and nobody else uses it during one.
        unsafe { (*self.run).interrupted() }
    }

    /// The CPU.
    pub fn cpu(&self) -> u32 {
        // SAFETY: the run outlives the call.
        unsafe { (*self.run).cpu }
    }

    /// The kernel.
    pub fn kernel(&self) -> &'c Shared {
        // SAFETY: the host outlives the call, and what it says of the kernel never changes.
        unsafe { (*self.host).kernel }
    }

    /// The run's host.
    #[inline(always)]
    pub fn host(&mut self) -> &mut Host<'c> {
        // SAFETY: the host outlives the call, and callbacks, which use it too, run only where the
        // call is borrowed exclusively and no reference to the host is held.
        unsafe { &mut *self.host }
    }

    /// The packet; `EINVAL` when the run has none, which the verifier excludes.
    pub fn packet(&mut self) -> Result<&mut Packet, Errno> {
        self.host().packet.as_deref_mut().ok_or(Errno::EINVAL)
    }

    /// The map that an argument stands for; `EINVAL` for what is no map, which the verifier
    /// excludes.
    pub fn map(&mut self, n: usize) -> Result<&'c dyn Map, Errno> {
        let handle = self.args[n];
        let kernel: &'c Shared = self.host().kernel;
        // SAFETY: helpers run on a CPU, which the session holds until the run has ended.
        unsafe { kernel.handles.get(handle) }.ok_or(Errno::EINVAL)
    }

    /// The map that an argument stands for, as its own type.
    pub fn map_as<T: 'static>(&mut self, n: usize) -> Result<&'c T, Errno> {
        self.map(n)?.as_any().downcast_ref().ok_or(Errno::EINVAL)
    }

    /// Whether memory lies in the cage.
    #[inline(always)]
    pub fn is_inside(&self, address: u64, len: u64) -> bool {
        let offset = address.wrapping_sub(self.base);
        offset <= self.size && len <= self.size - offset
    }

    /// `address` as a pointer to `len` bytes; `EFAULT` outside of the cage.
    #[inline(always)]
    pub fn inside(&self, address: u64, len: usize) -> Result<NonNull<u8>, Errno> {
        if !self.is_inside(address, len as u64) {
            return Err(Errno::EFAULT);
        }
        NonNull::new(address as *mut u8).ok_or(Errno::EFAULT)
    }

    /// The aligned four bytes that an argument points to; `EFAULT` where it points to none.
    #[inline(always)]
    pub fn half(&self, n: usize) -> Result<&'c AtomicU32, Errno> {
        let at = self.inside(self.args[n], 4)?.cast::<u32>();
        if !at.is_aligned() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: inside the cage, which outlives the call and is used by atomics alone; aligned.
        Ok(unsafe { AtomicU32::from_ptr(at.as_ptr()) })
    }

    /// Copies memory within the cage, at most [`PIECE`] bytes; false, and nothing is done, where one
    /// end is not in it, the ends overlap, or there are more.
    #[inline(always)]
    pub fn copy_inside(&self, from: u64, to: u64, len: usize) -> bool {
        self.copied(from, to, len, bytes::copy)
    }

    /// The same of bytes that the program has not just written: a packet's.
    #[inline(always)]
    pub fn copy_settled(&self, from: u64, to: u64, len: usize) -> bool {
        self.copied(from, to, len, bytes::copy_settled)
    }

    #[inline(always)]
    fn copied(
        &self,
        from: u64,
        to: u64,
        len: usize,
        copy: unsafe fn(NonNull<u8>, NonNull<u8>, usize),
    ) -> bool {
        let (Ok(source), Ok(target)) = (self.inside(from, len), self.inside(to, len)) else {
            return false;
        };
        if len > PIECE || from.abs_diff(to) < len as u64 {
            return false;
        }
        // SAFETY: both ends are inside the cage, all of which is mapped.
        unsafe { copy(source, target, len) };
        true
    }

    /// Bytes of the cage from an address on; 0 outside.
    pub fn room_from(&self, address: u64) -> u64 {
        self.size.saturating_sub(address.wrapping_sub(self.base))
    }

    /// Copies memory of the cage; `EFAULT` outside, which the verifier excludes for arguments.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        if buffer.is_empty() {
            return Ok(());
        }
        let from = self.inside(address, buffer.len())?;
        for (n, piece) in buffer.chunks_mut(PIECE).enumerate() {
            self.go_on(n)?;
            // SAFETY: inside the cage, all of which is mapped.
            unsafe { bytes::read(from.add(n * PIECE), piece) };
        }
        Ok(())
    }

    /// Two words side by side that were written as words.
    #[inline(always)]
    pub fn read_pair(&self, address: u64) -> Result<[u64; 2], Errno> {
        let from = self.inside(address, 16)?;
        // SAFETY: inside the cage, all of which is mapped.
        Ok(unsafe { bytes::read_pair(from) })
    }

    /// A word, at any alignment.
    #[inline(always)]
    pub fn word(&self, address: u64) -> Result<u64, Errno> {
        let from = self.inside(address, 8)?;
        // SAFETY: inside the cage, all of which is mapped.
        Ok(unsafe { bytes::read_u64(from) })
    }

    /// Four bytes, at any alignment.
    #[inline(always)]
    pub fn half_word(&self, address: u64) -> Result<u32, Errno> {
        let from = self.inside(address, 4)?;
        // SAFETY: inside the cage, all of which is mapped.
        Ok(unsafe { bytes::read_u32(from) })
    }

    /// Writes a word, at any alignment.
    #[inline(always)]
    pub fn write_word(&self, address: u64, word: u64) -> Result<(), Errno> {
        let to = self.inside(address, 8)?;
        // SAFETY: inside the cage, all of which is mapped.
        unsafe { bytes::write_u64(to, word) };
        Ok(())
    }

    /// Writes two words side by side.
    #[inline(always)]
    pub fn write_pair(&self, address: u64, words: [u64; 2]) -> Result<(), Errno> {
        let to = self.inside(address, 16)?;
        // SAFETY: inside the cage, all of which is mapped.
        unsafe { bytes::write_pair(to, words) };
        Ok(())
    }

    /// The same of a few bytes, whose number is known here.
    #[inline(always)]
    pub fn read_array<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        let from = self.inside(address, N)?;
        // SAFETY: inside the cage, all of which is mapped.
        Ok(unsafe { bytes::read_key(from) })
    }

    /// Copies memory of the cage, since other threads may write it meanwhile, and uses the copy. Most
    /// are small: the fewer bytes are cleared first, the better.
    #[inline]
    pub fn with_copy<T>(
        &self,
        address: u64,
        len: usize,
        act: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, Errno> {
        match len {
            0..=16 => self.with_array::<16, T>(address, len, act),
            17..=128 => self.with_array::<128, T>(address, len, act),
            _ => Ok(act(&mut self.read_vec(address, len)?)),
        }
    }

    fn with_array<const N: usize, T>(
        &self,
        address: u64,
        len: usize,
        act: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, Errno> {
        let mut copy = [0; N];
        let copy = copy.get_mut(..len).ok_or(Errno::EINVAL)?;
        self.read(address, copy)?;
        Ok(act(copy))
    }

    /// Copies memory of the cage into a vector; `ENOMEM` when the host has no memory for it.
    pub fn read_vec(&self, address: u64, len: usize) -> Result<Vec<u8>, Errno> {
        if !self.is_inside(address, len as u64) && len > 0 {
            return Err(Errno::EFAULT);
        }
        let mut out = with_room(len)?;
        for offset in (0..len).step_by(PIECE) {
            self.go_on(offset)?;
            out.resize(len.min(offset + PIECE), 0);
            self.read(address + offset as u64, &mut out[offset..])?;
        }
        Ok(out)
    }

    /// Copies into memory of the cage.
    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        if from.is_empty() {
            return Ok(());
        }
        let to = self.inside(address, from.len())?;
        for (n, piece) in from.chunks(PIECE).enumerate() {
            self.go_on(n)?;
            // SAFETY: inside the cage, all of which is mapped.
            unsafe { bytes::write(to.add(n * PIECE), piece) };
        }
        Ok(())
    }

    /// Writes zeros to memory of the cage; `ENOMEM` beyond [`COPY_MOST`].
    pub fn zero(&self, address: u64, len: usize) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        if len > COPY_MOST {
            return Err(Errno::ENOMEM);
        }
        let to = self.inside(address, len)?;
        for (n, at) in (0..len).step_by(PIECE).enumerate() {
            self.go_on(n)?;
            // SAFETY: inside the cage, all of which is mapped.
            unsafe { bytes::zero(to.add(at), PIECE.min(len - at)) };
        }
        Ok(())
    }

    /// Between the pieces of a long copy: `EINTR` when the run has to end.
    fn go_on(&self, piece: usize) -> Result<(), Errno> {
        if piece > 0 && self.interrupted() {
            return Err(Errno::EINTR);
        }
        Ok(())
    }
}

/// Bytes that are copied between two looks at whether the run has to end.
pub(super) const PIECE: usize = 64 << 10;

/// Most bytes that a helper copies or clears at once: more than any argument of a proven
/// program but values of arrays of that size, and no burden for the host.
pub(super) const COPY_MOST: usize = 16 << 20;

/// An empty vector with room for `len` bytes; `ENOMEM` beyond [`COPY_MOST`], or when there is none.
fn with_room(len: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = Vec::new();
    if len > COPY_MOST || buffer.try_reserve_exact(len).is_err() {
        return Err(Errno::ENOMEM);
    }
    Ok(buffer)
}

/// A function's name, without the mark of a raw identifier.
pub(crate) const fn plain_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

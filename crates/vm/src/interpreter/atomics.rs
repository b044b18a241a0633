//! Atomic read-modify-write operations (RFC 9669 section 5.3): fully ordered.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use crate::op::{Atomic, FILE, Op};

macro_rules! operate {
    ($cell:ident, $op:ident, $registers:ident, $ty:ty) => {{
        let source = ($op.src as usize) & (FILE - 1);
        let operand = $registers[source] as $ty;
        // The lowering wrote an index of `ALL`.
        match Atomic::ALL[$op.imm as usize % Atomic::ALL.len()] {
            Atomic::Add => {
                $cell.fetch_add(operand, SeqCst);
            }
            Atomic::Or => {
                $cell.fetch_or(operand, SeqCst);
            }
            Atomic::And => {
                $cell.fetch_and(operand, SeqCst);
            }
            Atomic::Xor => {
                $cell.fetch_xor(operand, SeqCst);
            }
            Atomic::FetchAdd => $registers[source] = u64::from($cell.fetch_add(operand, SeqCst)),
            Atomic::FetchOr => $registers[source] = u64::from($cell.fetch_or(operand, SeqCst)),
            Atomic::FetchAnd => $registers[source] = u64::from($cell.fetch_and(operand, SeqCst)),
            Atomic::FetchXor => $registers[source] = u64::from($cell.fetch_xor(operand, SeqCst)),
            Atomic::Xchg => $registers[source] = u64::from($cell.swap(operand, SeqCst)),
            Atomic::CmpXchg => {
                let expected = $registers[0] as $ty;
                let old = $cell.compare_exchange(expected, operand, SeqCst, SeqCst);
                $registers[0] = u64::from(old.unwrap_or_else(|old| old));
            }
        }
    }};
}

/// # Safety
/// `address` is mapped for four bytes and aligned to them.
pub(super) unsafe fn on32(address: u64, op: &Op, registers: &mut [u64; FILE]) {
    // SAFETY: the caller's promise.
    let cell = unsafe { AtomicU32::from_ptr(address as *mut u32) };
    operate!(cell, op, registers, u32);
}

/// # Safety
/// `address` is mapped for eight bytes and aligned to them.
pub(super) unsafe fn on64(address: u64, op: &Op, registers: &mut [u64; FILE]) {
    // SAFETY: the caller's promise.
    let cell = unsafe { AtomicU64::from_ptr(address as *mut u64) };
    operate!(cell, op, registers, u64);
}

//! Compiles only while everything it names lives without std: std would bring a second panic
//! handler.
#![no_std]

extern crate panal_btf as _;
extern crate panal_isa as _;
extern crate panal_object as _;
extern crate panal_uapi as _;
extern crate panal_verifier as _;
extern crate panal_vm as _;

use core::alloc::{GlobalAlloc, Layout};

/// An allocator that has nothing to give: this library is built, never run.
struct Nothing;

// SAFETY: a null pointer is the allowed answer of an allocator that is out of memory, and nothing
// that it handed out can come back to `dealloc`.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

//! Keys in a program's frame that a helper gets by their address.
//!
//! What was written in bytes and halves is not in memory yet, and whoever reads larger parts of it waits
//! until it is. So such parts are joined, and written as the helper reads them, before the call.

use panal_isa::Size;

use super::{
    emit::{Emitter, FRAME},
    inline::{on, with},
    memory::{frame_load_code, store_code},
};
use crate::{
    key::{PIECES_MOST, Piece},
    op::Code,
};

/// Bytes that helpers read at once: a key of whole ones, aligned, is read by halves of words.
const UNIT: u32 = 4;

impl Emitter<'_> {
    /// Joins the parts of a key that lies in the frame from `place` on. `r0` and `r1` are given away.
    pub(super) fn join_key(&mut self, place: i32, size: u32) {
        if !(size.is_multiple_of(UNIT) && place.rem_euclid(UNIT as i32) == 0) {
            return;
        }
        let pieces = self.written().pieces(place, size);
        if pieces.len() > PIECES_MOST {
            return;
        }
        for parts in pieces.chunk_by(|a, b| u32::from(a.at) / UNIT == u32::from(b.at) / UNIT) {
            if parts.len() > 1 {
                self.join(place, parts);
            }
        }
    }

    fn join(&mut self, place: i32, parts: &[Piece]) {
        for (n, part) in parts.iter().enumerate() {
            let into = u8::from(n > 0);
            let load = frame_load_code(part.size(), false);
            self.emit_on_stack(on(load, into, FRAME).at(place + i32::from(part.at)));
            if n > 0 {
                let shift = u32::from(part.at) % UNIT * 8;
                self.emit(with(Code::Lsh64K, 1, shift.into()));
                self.emit(on(Code::Or64X, 0, 1));
            }
        }
        let store = store_code(Size::W, false, true);
        self.emit_on_stack(on(store, FRAME, 0).at(place + i32::from(parts[0].at)));
    }
}

//! Loops over the bits that are set in words of memory.
//!
//! The iterator is 16 bytes on the program's stack: the one word, or by which number the kernel
//! knows a copy of several; how many bits there are; the current bit.

use panal_btf::TypeId;
use panal_uapi::Errno;

use super::{Kfunc, Leaf, int};
use crate::{
    helpers::{
        call::{Call, entry},
        probe,
    },
    types::{Ptr, describe::Types},
};

pub(super) const TABLE: &[Kfunc] = &[
    Kfunc {
        name: "bpf_iter_bits_new",
        function: Leaf(entry!(new_int)),
        prototype: |types| {
            let word = types.uapi_int("__u64", 8);
            let constant = types.constant(word);
            let words = types.pointer(constant);
            let (iterator, count) = (iterator(types), types.uapi_int("__u32", 4));
            let parameters = vec![
                ("it", iterator),
                ("unsafe_ptr__ign", words),
                ("nr_words", count),
            ];
            (parameters, types.of::<i32>())
        },
    },
    Kfunc {
        name: "bpf_iter_bits_next",
        function: Leaf(entry!(next)),
        prototype: |types| (vec![("it", iterator(types))], types.of::<Ptr<i32>>()),
    },
    Kfunc {
        name: "bpf_iter_bits_destroy",
        function: Leaf(entry!(destroy)),
        prototype: |types| (vec![("it", iterator(types))], TypeId::VOID),
    },
];

/// Most words of a loop (`BITS_ITER_NR_WORDS_MAX`).
const WORDS_MOST: u32 = 511;
/// Bits of the word that needs no copy elsewhere.
const WORD: u32 = 64;
/// More loops in each other than any program has.
const SETS_MOST: usize = 256;

/// Words that a run goes through, by number.
#[derive(Default)]
pub(crate) struct BitSets(Vec<Option<Box<[u64]>>>);

impl BitSets {
    /// Keeps none.
    #[inline]
    pub fn clear(&mut self) {
        if !self.0.is_empty() {
            self.clear_each();
        }
    }

    #[cold]
    fn clear_each(&mut self) {
        self.0.clear();
    }

    fn keep(&mut self, words: Box<[u64]>) -> Option<u64> {
        let place = match self.0.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.0.len() < SETS_MOST => {
                self.0.push(None);
                self.0.len() - 1
            }
            None => return None,
        };
        self.0[place] = Some(words);
        Some(place as u64)
    }

    fn get(&self, number: u64) -> Option<&[u64]> {
        let words = self.0.get(usize::try_from(number).ok()?)?;
        words.as_deref()
    }

    fn forget(&mut self, number: u64) {
        let place = usize::try_from(number).ok();
        if let Some(place) = place.and_then(|place| self.0.get_mut(place)) {
            *place = None;
        }
    }
}

fn iterator(types: &mut Types) -> TypeId {
    let word = types.uapi_int("__u64", 8);
    let words = types.array(word, 2);
    let iterator = types.once("bpf_iter_bits", |types| {
        types.structure("bpf_iter_bits", 16, &[("__opaque", words, 0)])
    });
    types.pointer(iterator)
}

/// Where the current bit stands in the iterator.
const BIT: u64 = 12;

fn store(call: &Call<'_>, word: u64, bits: u32, bit: i32) -> Result<(), Errno> {
    let rest = u64::from(bits) | u64::from(bit as u32) << 32;
    call.write_pair(call.arg(0), [word, rest])
}

fn load(call: &Call<'_>) -> Result<(u64, u32, i32), Errno> {
    let [word, rest] = call.read_pair(call.arg(0))?;
    Ok((word, rest as u32, (rest >> 32) as i32))
}

fn new_int(call: &mut Call<'_>) -> u64 {
    int(new(call))
}

fn new(call: &mut Call<'_>) -> Result<(), Errno> {
    let (from, count) = (call.arg(1), call.arg32(2));
    store(call, 0, 0, -1)?;
    if from == 0 || count == 0 {
        return Err(Errno::EINVAL);
    }
    if count > WORDS_MOST {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; count as usize * 8];
    probe::kernel(call, from, &mut bytes).map_err(|_| Errno::EFAULT)?;
    let (words, _) = bytes.as_chunks::<8>();
    let words: Box<[u64]> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let word = match *words {
        [word] => word,
        _ => call.host().bits.keep(words).ok_or(Errno::ENOMEM)?,
    };
    store(call, word, count * WORD, -1)
}

/// The first bit that is set, from one on.
fn next_set(words: &[u64], from: u32) -> Option<u32> {
    let first = (from / WORD) as usize;
    let mut mask = u64::MAX << (from % WORD);
    for (i, word) in words.iter().enumerate().skip(first) {
        if word & mask != 0 {
            return Some(i as u32 * WORD + (word & mask).trailing_zeros());
        }
        mask = u64::MAX;
    }
    None
}

fn next(call: &mut Call<'_>) -> Result<u64, Errno> {
    let (word, bits, bit) = load(call)?;
    if bits == 0 || bit >= bits as i32 {
        return Ok(0);
    }
    let single = [word];
    let words = match bits {
        WORD => &single[..],
        _ => call.host().bits.get(word).unwrap_or_default(),
    };
    let found = next_set(words, bit.wrapping_add(1) as u32).filter(|&bit| bit < bits);
    // As words, which are read again at once.
    store(call, word, bits, found.unwrap_or(bits) as i32)?;
    let at = call.arg(0).wrapping_add(BIT);
    Ok(if found.is_some() { at } else { 0 })
}

fn destroy(call: &mut Call<'_>) -> Result<(), Errno> {
    let (word, bits, _) = load(call)?;
    if bits > WORD {
        call.host().bits.forget(word);
    }
    Ok(())
}

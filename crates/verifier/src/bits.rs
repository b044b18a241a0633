//! Masks with a bit for each register or stack slot.

/// Numbers of the bits that are set, lowest first.
pub fn bits(mask: u64) -> impl Iterator<Item = usize> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let lowest = left.trailing_zeros() as usize;
        let is_set = left != 0;
        left &= left.wrapping_sub(1);
        is_set.then_some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn every_bit_is_named_once() {
        assert_eq!(bits(0).count(), 0);
        assert!(bits(0b1010_0001).eq([0, 5, 7]));
        assert!(bits(u64::MAX).eq(0..64));
    }
}

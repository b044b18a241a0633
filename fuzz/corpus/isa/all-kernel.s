(0f) r1 += r2
(0c) w1 += w2
(07) r1 += -2
(14) w1 -= 5
(27) r9 *= 3
(3f) r1 /= r2
(3f) r1 s/= r2
(34) w1 s/= 7
(9f) r1 %= r2
(97) r1 s%= 4
(4f) r1 |= r2
(54) w1 &= 255
(af) r1 ^= r2
(67) r1 <<= 32
(7f) r1 >>= r2
(c7) r1 s>>= 3
(87) r1 = -r1
(84) w1 = -w1
(bf) r6 = r1
(b4) w0 = -1
(b7) r0 = 2
(bf) r1 = (s8)r2
(bc) w1 = (s16)w2
(bf) r1 = (s32)r2
(bf) r1 = addr_space_cast(r2, 1, 0)
(dc) r1 = be16 r1
(d4) r1 = le64 r1
(d7) r1 = bswap32 r1
(05) goto pc+3
(05) goto pc-3
(06) gotol pc+100000
(e5) may_goto pc+3
(15) if r0 == 0x0 goto pc+3
(2d) if r1 > r2 goto pc+3
(66) if w1 s> 0xffffffff goto pc-3
(65) if r1 s> 0xffffffff goto pc+1
(45) if r1 & 0x7 goto pc+1
(5e) if w1 != w2 goto pc+1
(3d) if r1 >= r2 goto pc+1
(ad) if r1 < r2 goto pc+1
(bd) if r1 <= r2 goto pc+1
(7d) if r1 s>= r2 goto pc+1
(cd) if r1 s< r2 goto pc+1
(dd) if r1 s<= r2 goto pc+1
(85) call unknown#12
(8d) callx r1
(95) exit
(61) r1 = *(u32 *)(r2 +4)
(61) r1 = *(u32 *)(r2 -4)
(79) r0 = *(u64 *)(r1 +8)
(69) r1 = *(u16 *)(r2 -32768)
(71) r1 = *(u8 *)(r2 +0)
(91) r1 = *(s8 *)(r2 +0)
(89) r1 = *(s16 *)(r2 +2)
(81) r1 = *(s32 *)(r2 +4)
(63) *(u32 *)(r1 +4) = r2
(7b) *(u64 *)(r10 -8) = r3
(72) *(u8 *)(r1 +4) = 5
(7a) *(u64 *)(r1 +4) = -5
(db) lock *(u64 *)(r1 +0) += r2
(c3) lock *(u32 *)(r1 +0) |= r2
(db) lock *(u64 *)(r1 +0) &= r2
(db) lock *(u64 *)(r1 +0) ^= r2
(db) r0 = atomic64_fetch_add((u64 *)(r1 +0), r0)
(c3) r0 = atomic_fetch_xor((u32 *)(r1 +0), r0)
(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)
(c3) r2 = atomic_xchg((u32 *)(r1 +8), r2)
(db) r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)
(c3) r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)
(db) r2 = load_acquire((u64 *)(r1 +8))
(d3) r2 = load_acquire((u8 *)(r1 +8))
(db) store_release((u64 *)(r1 +8), r2)
(cb) store_release((u16 *)(r1 -8), r2)
(18) r1 = 0x123456789a
(18) r1 = 0xffffffffffffffff
(20) r0 = *(u32 *)skb[4]
(48) r0 = *(u16 *)skb[r6 + 0]

r1 += r2
w1 += w2
r1 += -2
w1 -= 5
r9 *= 3
r1 /= r2
r1 s/= r2
w1 s/= 7
r1 %= r2
r1 s%= 4
r1 |= r2
w1 &= 255
r1 ^= r2
r1 <<= 32
r1 >>= r2
r1 s>>= 3
r1 = -r1
w1 = -w1
r6 = r1
w0 = -1
r0 = 2
r1 = (s8)r2
w1 = (s16)w2
r1 = (s32)r2
r1 = addr_space_cast(r2, 1, 0)
r1 = be16 r1
r1 = le64 r1
r1 = bswap32 r1
goto +3
goto -3
gotol +100000
may_goto +3
if r0 == 0 goto +3
if r1 > r2 goto +3
if w1 s> -1 goto -3
if r1 s> -1 goto +1
if r1 & 7 goto +1
if w1 != w2 goto +1
if r1 >= r2 goto +1
if r1 < r2 goto +1
if r1 <= r2 goto +1
if r1 s>= r2 goto +1
if r1 s< r2 goto +1
if r1 s<= r2 goto +1
call 12
callx r1
exit
w1 = *(u32 *)(r2 + 4)
w1 = *(u32 *)(r2 - 4)
r0 = *(u64 *)(r1 + 8)
w1 = *(u16 *)(r2 - 32768)
w1 = *(u8 *)(r2 + 0)
r1 = *(s8 *)(r2 + 0)
r1 = *(s16 *)(r2 + 2)
r1 = *(s32 *)(r2 + 4)
*(u32 *)(r1 + 4) = w2
*(u64 *)(r10 - 8) = r3
*(u8 *)(r1 + 4) = 5
*(u64 *)(r1 + 4) = -5
lock *(u64 *)(r1 + 0) += r2
lock *(u32 *)(r1 + 0) |= w2
lock *(u64 *)(r1 + 0) &= r2
lock *(u64 *)(r1 + 0) ^= r2
r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)
w0 = atomic_fetch_xor((u32 *)(r1 + 0), w0)
r2 = xchg_64(r1 + 8, r2)
w2 = xchg32_32(r1 + 8, w2)
r0 = cmpxchg_64(r1 + 8, r0, r2)
w0 = cmpxchg32_32(r1 + 8, w0, w2)
r2 = load_acquire((u64 *)(r1 + 8))
w2 = load_acquire((u8 *)(r1 + 8))
store_release((u64 *)(r1 + 8), r2)
store_release((u16 *)(r1 - 8), w2)
r1 = 78187493530 ll
r1 = -1 ll
r0 = *(u32 *)skb[4]
r0 = *(u16 *)skb[r6]

// SPDX-License-Identifier: MIT OR Apache-2.0
// Signed numbers of 32 bits: IMA ADPCM, 96 samples decoded with steps of a table.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static const __s16 steps[90] = {
	7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
	73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408,
	449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066,
	2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630,
	9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
	32767,
};

static const __s8 change[8] = { -1, -1, -1, -1, 2, 4, 6, 8 };

struct decoder {
	__s32 predicted, index;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decoder);
} decoders SEC(".maps");

SEC("tc")
int adpcm(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;
	__u8 *end = (__u8 *)(long)skb->data_end;
	__u32 zero = 0, sum = 0;
	volatile struct decoder *d = bpf_map_lookup_elem(&decoders, &zero);

	if (!d)
		return 0;
	d->predicted = d->index = 0;

	for (int i = 0; i < 96; i++) {
		__u8 *at = data + (i >> 1);
		__u32 code;
		__s32 step, difference, predicted = d->predicted, index = d->index;

		if (at + 1 > end)
			break;
		if (index < 0)
			index = 0;
		else if (index > 88)
			index = 88;
		code = i & 1 ? *at >> 4 : *at & 15;
		step = steps[index];
		difference = step >> 3;
		if (code & 4)
			difference += step;
		if (code & 2)
			difference += step >> 1;
		if (code & 1)
			difference += step >> 2;
		predicted += code & 8 ? -difference : difference;
		if (predicted > 32767)
			predicted = 32767;
		else if (predicted < -32768)
			predicted = -32768;
		d->index = index + change[code & 7];
		d->predicted = predicted;
		sum = sum * 3 + predicted;
	}
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

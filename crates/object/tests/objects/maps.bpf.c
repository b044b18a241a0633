// Maps defined by types, with every attribute.
#include "bpf.h"

struct key { u32 a; u16 b; u16 c; };
struct value { u64 count; u8 bytes[12]; };

struct {
	__uint(type, 1);
	__uint(max_entries, 1000);
	__type(key, struct key);
	__type(value, struct value);
	__uint(map_flags, 1 | 1 << 7);
	__uint(pinning, 1);
	__uint(numa_node, 0);
} by_type SEC(".maps");

struct {
	__uint(type, 2);
	__uint(key_size, 4);
	__uint(value_size, sizeof(u64));
	__uint(max_entries, 3);
} by_size SEC(".maps");

struct {
	__uint(type, 30);
	__uint(value_size, 8);
	__uint(max_entries, 10);
	__uint(map_extra, 3);
} bloom SEC(".maps");

struct inner {
	__uint(type, 2);
	__uint(max_entries, 5);
	__type(key, u32);
	__type(value, u64);
};

struct inner inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 4);
	__type(key, u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [1] = &inner_b, [3] = &inner_a },
};

struct {
	__uint(type, 13);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct {
		__uint(type, 9);
		__uint(max_entries, 7);
		__type(key, u64);
		__type(value, u32);
	});
} outer_hash SEC(".maps");

int tail_zero(struct xdp_md *ctx);
int tail_two(struct xdp_md *ctx);

struct {
	__uint(type, 3);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__array(values, int(void *));
} tails SEC(".maps") = {
	.values = { [0] = (void *)&tail_zero, [2] = (void *)&tail_two },
};

SEC("xdp") int tail_zero(struct xdp_md *ctx)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&by_size, &key) != 0;
}

SEC("xdp") int tail_two(struct xdp_md *ctx)
{
	struct key key = {};

	return bpf_map_lookup_elem(&by_type, &key) != 0;
}

SEC("xdp") int uses_all(struct xdp_md *ctx)
{
	u32 key = 1;
	void *map = bpf_map_lookup_elem(&outer, &key);

	if (!map)
		map = bpf_map_lookup_elem(&outer_hash, &key);
	return map != 0;
}

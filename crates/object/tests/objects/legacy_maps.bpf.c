// Maps defined by value, with the structure of libbpf before 1.0.
#include "bpf.h"

struct bpf_map_def {
	u32 type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") counters = {
	.type = 6, .key_size = 4, .value_size = 8, .max_entries = 256,
};

struct bpf_map_def SEC("maps") flows = {
	.type = 1, .key_size = 16, .value_size = 24, .max_entries = 4096, .map_flags = 1,
};

SEC("socket1") int count(void *ctx)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&counters, &key) != bpf_map_lookup_elem(&flows, &key);
}

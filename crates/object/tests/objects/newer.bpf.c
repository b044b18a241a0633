// What libbpf 1.1 does not take: arenas, static maps, static entries.
#include "bpf.h"

struct {
	__uint(type, 33);
	__uint(map_flags, 1 << 10);
	__uint(max_entries, 4);
	__ulong(map_extra, 0x100000000000ull);
} arena SEC(".maps");

static struct {
	__uint(type, 27);
	__uint(max_entries, 5000);
} ring SEC(".maps");

// Nobody sees it, nobody calls it: an entry all the same.
SEC("tc") static int static_entry(void *ctx)
{
	return 7;
}

SEC("syscall") int uses_arena(void *ctx)
{
	return bpf_map_lookup_elem(&arena, ctx) != bpf_map_lookup_elem(&ring, ctx);
}

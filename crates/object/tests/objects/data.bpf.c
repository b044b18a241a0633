// Global variables of every section.
#include "bpf.h"

int counter = 41;
u64 big = 0x1122334455667788ull;
static volatile int hidden_counter = 9;
volatile const u32 limit = 100;
volatile const u8 name[8] = "panal";
int zero;
u64 zeros[32];
static volatile short quiet;
int custom SEC(".data.custom") = 5;
int custom_zero SEC(".bss.custom");
const volatile int custom_const SEC(".rodata.custom") = 6;

SEC("xdp") int touch(struct xdp_md *ctx)
{
	counter += limit;
	big ^= hidden_counter++;
	zeros[3] = zero++;
	quiet++;
	custom += custom_const;
	custom_zero--;
	return name[ctx->data & 7];
}

SEC("xdp") int offset(struct xdp_md *ctx)
{
	u64 copy = 0;

	return bpf_probe_read_kernel(&copy, 8, &zeros[7]) + copy;
}

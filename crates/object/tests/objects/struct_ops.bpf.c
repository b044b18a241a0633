// A structure of functions that the kernel calls.
#include "bpf.h"

struct congestion_ops {
	u32 (*ssthresh)(void *sk);
	void (*init)(void *sk);
	char name[16];
	u32 flags;
};

SEC("struct_ops/ssthresh") u32 ssthresh(u64 *ctx)
{
	return 3;
}

SEC("struct_ops/init") int init(u64 *ctx)
{
	return 0;
}

SEC(".struct_ops.link") struct congestion_ops quick = {
	.init = (void *)init,
	.ssthresh = (void *)ssthresh,
	.name = "quick",
	.flags = 6,
};

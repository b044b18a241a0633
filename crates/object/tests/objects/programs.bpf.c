// Programs and subprograms: several in a section, static ones, calls and callbacks.
#include "bpf.h"

u32 _version SEC("version") = 0x060c00;

static __noinline int leaf(int x)
{
	asm volatile("%0 += 1" : "+r"(x));
	return x;
}

static __noinline int middle(int x)
{
	return leaf(x) + leaf(x + 2);
}

__noinline int global_sub(int x)
{
	return middle(x) * 3;
}

__hidden __noinline int hidden_sub(int x)
{
	return leaf(x) * 5;
}

static int callback(u32 index, void *ctx)
{
	*(int *)ctx = leaf(index);
	return 0;
}

SEC("xdp") int first(struct xdp_md *ctx)
{
	return global_sub(ctx->data);
}

SEC("xdp") int second(struct xdp_md *ctx)
{
	int sum = 0;

	bpf_loop(3, callback, &sum, 0);
	return sum;
}

SEC("xdp") int third(struct xdp_md *ctx)
{
	return hidden_sub(ctx->rx_queue_index);
}

SEC("?tracepoint/syscalls/sys_enter_openat") int on_request(void *ctx)
{
	return 0;
}

SEC("xdp.frags/cpumap") int frags(struct xdp_md *ctx)
{
	return 2;
}

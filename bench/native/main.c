// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs a program that was compiled for this CPU: `main PACKET`, then for each line with a count on
// standard input that many runs, and a line with nanoseconds in all and the last value.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <linux/bpf.h>

#define ROOM (1 << 16)

int PROGRAM(struct __sk_buff *skb);

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv)
{
	// The context holds addresses in 32 bits.
	void *packet = mmap((void *)0x10000000, ROOM, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	int (*volatile run)(struct __sk_buff *) = PROGRAM;
	struct __sk_buff skb = {};
	unsigned long count;
	FILE *file;

	if (argc != 2 || packet == MAP_FAILED || !(file = fopen(argv[1], "rb")))
		return 2;
	skb.len = fread(packet, 1, ROOM, file);
	skb.data = (__u32)(unsigned long)packet;
	skb.data_end = skb.data + skb.len;
	while (scanf("%lu", &count) == 1) {
		long long begin = now();
		unsigned int value = 0;

		for (unsigned long i = 0; i < count; i++)
			value = run(&skb);
		printf("%lld %u\n", now() - begin, value);
		fflush(stdout);
	}
	return 0;
}

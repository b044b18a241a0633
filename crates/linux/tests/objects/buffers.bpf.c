// SPDX-License-Identifier: MIT OR Apache-2.0
// Puts many records of changing sizes into a ring buffer and a perf buffer. Built as trace.bpf.c.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define LONGEST 268

struct record {
	__u32 producer;
	__u32 number; // counts the producer's records
	__u32 len; // of the whole record
	__u8 rest[LONGEST - 12]; // the number's low byte
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16384);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user SEC(".maps");

// Records that the kernel did not take, by producer.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} refused SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} scratch SEC(".maps");

static __always_inline void refuse(__u32 producer)
{
	__u64 *count = bpf_map_lookup_elem(&refused, &producer);

	if (count)
		__sync_fetch_and_add(count, 1);
}

// A length from 12 up to 267, from the record's number alone.
static __always_inline __u32 length(__u32 number)
{
	return 12 + (number * 2654435761u >> 24);
}

static __always_inline struct record *fill(__u32 producer, __u32 number)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&scratch, &zero);

	if (!record)
		return 0;
	record->producer = producer;
	record->number = number;
	record->len = length(number);
	for (int i = 0; i < LONGEST - 12; i++)
		record->rest[i] = number;
	return record;
}

// args: producer, first number, count
SEC("?raw_tp")
int to_ring(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 producer = ctx->args[0], number = ctx->args[1], count = ctx->args[2];

	for (__u32 i = 0; i < 64 && i < count; i++, number++) {
		struct record *record;

		if (number % 7 == 3) {
			void *given_up = bpf_ringbuf_reserve(&ring, 40, 0);

			if (given_up)
				bpf_ringbuf_discard(given_up, 0);
			continue;
		}
		record = fill(producer, number);
		if (!record)
			return 1;
		if (bpf_ringbuf_output(&ring, record, length(number), 0))
			refuse(producer);
	}
	return 0;
}

SEC("?raw_tp")
int to_perf(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 producer = ctx->args[0], number = ctx->args[1], count = ctx->args[2];

	for (__u32 i = 0; i < 64 && i < count; i++, number++) {
		struct record *record = fill(producer, number);

		if (!record)
			return 1;
		if (bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, record, length(number)))
			refuse(producer);
	}
	return 0;
}

__u64 sum = 0;
__u64 taken = 0;

static long take(struct bpf_dynptr *record, void *context)
{
	__u64 value = 0;

	if (bpf_dynptr_read(&value, sizeof(value), record, 0, 0))
		return 1;
	sum += value;
	taken++;
	return 0;
}

SEC("?raw_tp")
int from_user(void *ctx)
{
	return bpf_user_ringbuf_drain(&user, take, 0, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

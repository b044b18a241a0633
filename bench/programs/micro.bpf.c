// SPDX-License-Identifier: MIT OR Apache-2.0
// One operation each, 256 times in a loop; `base` is the loop without it. User space fills the maps:
// keys 0 to 255 are there, larger ones are not.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROUNDS 256
#define MISSING 1000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROUNDS);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ROUNDS);
	__type(key, __u32);
	__type(value, __u64);
} percpu_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} percpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 64);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

// The key is in memory, as a lookup wants it, and its value unknown to the compiler.
#define EACH(body)                                                                                 \
	__u64 sum = 0;                                                                             \
                                                                                                   \
	for (__u32 i = 0; i < ROUNDS; i++) {                                                       \
		__u32 key = i;                                                                     \
                                                                                                   \
		asm volatile("" : : "r"(&key) : "memory");                                         \
		body;                                                                              \
	}                                                                                          \
	return sum & 0x7fffffff

#define LOOKUP(map, at)                                                                            \
	__u64 *value;                                                                              \
                                                                                                   \
	key += at;                                                                                 \
	value = bpf_map_lookup_elem(&map, &key);                                                   \
	sum += value ? *value : 1

static __noinline __u64 callee(__u64 a)
{
	asm volatile("" : "+r"(a));
	return a + 1;
}

SEC("tc")
int base(struct __sk_buff *skb)
{
	EACH(sum += key);
}

SEC("tc")
int call(struct __sk_buff *skb)
{
	EACH(sum += callee(key));
}

SEC("tc")
int array_lookup(struct __sk_buff *skb)
{
	EACH(LOOKUP(array, 0));
}

SEC("tc")
int percpu_array_lookup(struct __sk_buff *skb)
{
	EACH(LOOKUP(percpu_array, 0));
}

SEC("tc")
int hash_hit(struct __sk_buff *skb)
{
	EACH(LOOKUP(hash, 0));
}

SEC("tc")
int hash_miss(struct __sk_buff *skb)
{
	EACH(LOOKUP(hash, MISSING));
}

SEC("tc")
int percpu_hash_hit(struct __sk_buff *skb)
{
	EACH(LOOKUP(percpu_hash, 0));
}

SEC("tc")
int lru_hit(struct __sk_buff *skb)
{
	EACH(LOOKUP(lru, 0));
}

SEC("tc")
int hash_update(struct __sk_buff *skb)
{
	EACH(__u64 value = 3; sum += bpf_map_update_elem(&hash, &key, &value, BPF_ANY));
}

SEC("tc")
int hash_insert_delete(struct __sk_buff *skb)
{
	EACH(__u64 value = 3; key += MISSING; bpf_map_update_elem(&hash, &key, &value, BPF_ANY);
	     sum += bpf_map_delete_elem(&hash, &key));
}

SEC("tc")
int ring_submit(struct __sk_buff *skb)
{
	EACH(__u64 *record = bpf_ringbuf_reserve(&ring, 16, 0); if (record) {
		record[0] = key;
		record[1] = i;
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
		sum++;
	});
}

SEC("tc")
int ring_output(struct __sk_buff *skb)
{
	__u64 record[8] = {};

	EACH(record[0] = key; sum += bpf_ringbuf_output(&ring, record, 64, BPF_RB_NO_WAKEUP));
}

SEC("tc")
int percpu_hash_update(struct __sk_buff *skb)
{
	EACH(__u64 value = 3; sum += bpf_map_update_elem(&percpu_hash, &key, &value, BPF_ANY));
}

SEC("tc")
int lru_update(struct __sk_buff *skb)
{
	EACH(__u64 value = 3; sum += bpf_map_update_elem(&lru, &key, &value, BPF_ANY));
}

SEC("tc")
int push_pop(struct __sk_buff *skb)
{
	EACH(__u64 value = i; bpf_map_push_elem(&queue, &value, 0);
	     bpf_map_pop_elem(&queue, &value); sum += value);
}

SEC("tc")
int probe_read(struct __sk_buff *skb)
{
	EACH(__u64 value = 0; bpf_probe_read_kernel(&value, sizeof(value), skb); sum += value == 1);
}

SEC("tc")
int pid_tgid(struct __sk_buff *skb)
{
	EACH(sum += bpf_get_current_pid_tgid() == 0);
}

SEC("tc")
int ktime(struct __sk_buff *skb)
{
	__u64 begin = bpf_ktime_get_ns();

	EACH(sum += bpf_ktime_get_ns() < begin);
}

SEC("tc")
int cpu(struct __sk_buff *skb)
{
	EACH(sum += bpf_get_smp_processor_id() >= 4096);
}

static long add(__u32 i, __u64 *sum)
{
	*sum += i;
	return 0;
}

SEC("tc")
int loop(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_loop(ROUNDS, add, &sum, 0);
	return sum & 0x7fffffff;
}

static long add_element(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value;
	return 0;
}

SEC("tc")
int each_of_array(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_for_each_map_elem(&array, add_element, &sum, 0);
	return sum & 0x7fffffff;
}

SEC("tc")
int each_of_hash(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_for_each_map_elem(&hash, add_element, &sum, 0);
	return sum & 0x7fffffff;
}

struct bpf_iter_num {
	__u64 opaque;
};

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

SEC("tc")
int numbers(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	__u64 sum = 0;
	int *i;

	bpf_iter_num_new(&it, 0, ROUNDS);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
	return sum & 0x7fffffff;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
